// What namespaces have in use and may have, for /metrics: at most kMostNamespacesScraped of them, the oldest,
// by name; the others are one series.
#pragma once

#include <prometheus/collectable.h>

#include <functional>
#include <memory>
#include <vector>

#include "common/base/status.h"
#include "lockstep/v1/namespaces.pb.h"

namespace lockstep {

inline constexpr int kMostNamespacesScraped = 200;
inline constexpr char kOtherNamespaces[] = "(others)";  // which is no namespace's name

// Called for each scrape. Nothing is shown while it fails.
using NamespaceSource = std::function<absl::StatusOr<std::vector<v1::Namespace>>()>;
std::shared_ptr<prometheus::Collectable> MakeNamespaceMetrics(NamespaceSource namespaces);

}  // namespace lockstep
