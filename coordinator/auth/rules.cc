#include "coordinator/auth/rules.h"

namespace lockstep {
namespace {

constexpr bool kReads = false, kChanges = true;
constexpr bool kScoped = true;

constexpr Rule kRules[] = {
    {"lockstep.v1.Jobs/SubmitJob", Role::kSubmitter, kChanges, kScoped},
    {"lockstep.v1.Jobs/GetJob", Role::kViewer, kReads, kScoped},
    {"lockstep.v1.Jobs/ListJobs", Role::kViewer, kReads, kScoped},
    {"lockstep.v1.Jobs/WatchJob", Role::kViewer, kReads, kScoped},
    {"lockstep.v1.Jobs/CancelJob", Role::kSubmitter, kChanges, kScoped},
    {"lockstep.v1.Jobs/PauseJob", Role::kSubmitter, kChanges, kScoped},
    {"lockstep.v1.Jobs/ResumeJob", Role::kSubmitter, kChanges, kScoped},
    {"lockstep.v1.Jobs/ScaleJob", Role::kSubmitter, kChanges, kScoped},
    {"lockstep.v1.Jobs/DeleteJob", Role::kSubmitter, kChanges, kScoped},
    {"lockstep.v1.Jobs/StreamLogs", Role::kViewer, kReads, kScoped},
    {"lockstep.v1.Jobs/StreamMetrics", Role::kViewer, kReads, kScoped},
    {"lockstep.v1.Jobs/ListCheckpoints", Role::kViewer, kReads, kScoped},
    {"lockstep.v1.Jobs/AuditJob", Role::kViewer, kReads, kScoped},

    {"lockstep.v1.Datasets/RegisterDataset", Role::kSubmitter, kChanges, kScoped},
    {"lockstep.v1.Datasets/GetDataset", Role::kViewer, kReads, kScoped},
    {"lockstep.v1.Datasets/ListDatasets", Role::kViewer, kReads, kScoped},
    {"lockstep.v1.Datasets/ReadShard", Role::kWorker},

    {"lockstep.v1.Models/ListModels", Role::kViewer, kReads, kScoped},
    {"lockstep.v1.Models/DownloadModel", Role::kViewer, kReads, kScoped},

    {"lockstep.v1.Workers/ListWorkers", Role::kViewer, kReads, kScoped},
    {"lockstep.v1.Workers/CordonWorker", Role::kAdmin, kChanges},
    {"lockstep.v1.Workers/UncordonWorker", Role::kAdmin, kChanges},
    {"lockstep.v1.Workers/Connect", Role::kWorker, kChanges},

    {"lockstep.v1.Chaos/InjectFault", Role::kAdmin, kChanges},

    {"lockstep.v1.Tokens/CreateToken", Role::kAdmin, kChanges},
    {"lockstep.v1.Tokens/ListTokens", Role::kAdmin},
    {"lockstep.v1.Tokens/RevokeToken", Role::kAdmin, kChanges},

    {"lockstep.v1.Namespaces/CreateNamespace", Role::kAdmin, kChanges},
    {"lockstep.v1.Namespaces/GetNamespace", Role::kViewer, kReads, kScoped},
    {"lockstep.v1.Namespaces/ListNamespaces", Role::kViewer, kReads, kScoped},
    {"lockstep.v1.Namespaces/SetNamespace", Role::kAdmin, kChanges},
    {"lockstep.v1.Namespaces/DeleteNamespace", Role::kAdmin, kChanges},

    // What the API is, which is public, and whether the coordinator serves.
    {"grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Role::kViewer, kReads, kScoped},
    {"grpc.health.v1.Health/Check", std::nullopt},
    {"grpc.health.v1.Health/Watch", std::nullopt},
};

}  // namespace

const Rule* FindRule(std::string_view method) {
  for (const Rule& rule : kRules) {
    if (rule.method == method) return &rule;
  }
  return nullptr;
}

}  // namespace lockstep
