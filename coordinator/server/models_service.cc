#include <utility>

#include "common/spec/text_names.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/server/model_files.h"
#include "coordinator/server/requests.h"
#include "coordinator/server/security.h"
#include "coordinator/server/services.h"
#include "coordinator/server/subscribed_stream.h"
#include "coordinator/server/unary.h"
#include "lockstep/v1/models.grpc.pb.h"

namespace lockstep {
namespace {

class ModelsService final : public v1::Models::CallbackService {
 public:
  explicit ModelsService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* call,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override {
    auto space = ScopeOf(*call, context_.tokens).Filter(request->namespace_());
    if (!space.ok()) return Answer(call, space.status());
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.pool->Run([this, reactor, response, space = *std::move(space)] {
      for (v1::Model& model : context_.controller->ListModels(space))
        *response->add_models() = std::move(model);
      reactor->Finish(grpc::Status::OK);
    });
    return reactor;
  }

  grpc::ServerWriteReactor<v1::DownloadModelResponse>* DownloadModel(
      grpc::CallbackServerContext* call, const v1::DownloadModelRequest* request) override {
    absl::StatusOr<std::string> folder = FolderOf(*call, request->job());
    if (!folder.ok()) return FailStream<v1::DownloadModelResponse>(context_.live, folder.status());
    const StreamExecutor executor = [pool = context_.pool](std::function<void()> task) {
      pool->Run(std::move(task));
    };
    return ServerStream<v1::DownloadModelResponse>::Start(context_.live, executor,
                                                          std::make_unique<ModelFiles>(*std::move(folder)),
                                                          StreamOwnerOf(*call))
        .get();
  }

 private:
  // The path is made of the server's own root and the server-made id, never of the client's text.
  absl::StatusOr<std::string> FolderOf(const grpc::ServerContextBase& call, const std::string& reference) {
    RETURN_IF_ERROR(CheckReference("job", reference));
    ASSIGN_OR_RETURN(const v1::Job job,
                     context_.controller->GetJob(reference, ScopeOf(call, context_.tokens)));
    if (job.state() != v1::JOB_STATE_SUCCEEDED || job.model_path().empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("job ", job.id(), " ('", job.name(), "') has no model: it is ",
                       EnumText(*v1::JobState_descriptor(), job.state()),
                       job.reason().empty() ? "" : absl::StrCat(" (", job.reason(), ")"),
                       "; a model is there once a job has succeeded"));
    }
    return absl::StrCat(context_.artifact_root, "/jobs/", job.id(), "/model");
  }

  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeModelsService(const ServiceContext& context) {
  return std::make_unique<ModelsService>(context);
}

}  // namespace lockstep
