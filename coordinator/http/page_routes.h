// The live page's routes: its files, what it reads, and the three things it may do to a job. Reading asks the
// store and the controller's snapshots; nothing here waits for the control thread but what changes a job.
#pragma once

#include <vector>

#include "coordinator/http/job_feed.h"
#include "coordinator/http/router.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/store/store.h"

namespace lockstep {

struct PageContext {
  Controller* controller = nullptr;  // none is owned; all outlive the routes
  Store* store = nullptr;            // only read
  JobFeed* feed = nullptr;
};

JobFeed::Source FeedOf(Controller* controller, Store* store);

std::vector<HttpRoute> PageRoutes(const PageContext& context);

}  // namespace lockstep
