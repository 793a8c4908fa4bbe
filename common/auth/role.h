// Who may do what. A submitter may do what a viewer may, an admin everything; a worker only its own work
// (registering, reporting, reading data).
#pragma once

#include <optional>
#include <string_view>

namespace lockstep {

enum class Role {
  kViewer,     // reads jobs, metrics, logs, models
  kSubmitter,  // and submits and steers jobs, registers datasets
  kWorker,     // a worker's agent: nothing else
  kAdmin,      // everything
};

// True: one who has role `has` may do what needs role `needed`.
constexpr bool Covers(Role has, Role needed) {
  if (has == Role::kAdmin || has == needed) return true;
  return has == Role::kSubmitter && needed == Role::kViewer;
}

constexpr std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kSubmitter:
      return "submitter";
    case Role::kWorker:
      return "worker";
    case Role::kAdmin:
      return "admin";
  }
  return "";
}

constexpr std::optional<Role> ParseRole(std::string_view name) {
  for (const Role role : {Role::kViewer, Role::kSubmitter, Role::kWorker, Role::kAdmin}) {
    if (RoleName(role) == name) return role;
  }
  return std::nullopt;
}

}  // namespace lockstep
