// The live page, put together: what it shows, who may see it, and its web server.
#pragma once

#include <memory>
#include <string>

#include "coordinator/daemon/flags.h"
#include "coordinator/daemon/gatekeeper.h"
#include "coordinator/http/router.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/store/store.h"

namespace lockstep {

class LivePage {
 public:
  // Asks for tokens where the API does, and notes what is changed in the same audit log. None is owned; all
  // outlive the page. UNAVAILABLE: the port is in use.
  static absl::StatusOr<std::unique_ptr<LivePage>> Start(const CoordinatorFlags& flags,
                                                         const Gatekeeper& gatekeeper, Controller* controller,
                                                         Store* store, Clock* clock);
  ~LivePage();

  std::string address() const;  // empty: not served
  const Router& router() const;

 private:
  struct Parts;
  explicit LivePage(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace lockstep
