#include <set>
#include <tuple>
#include <utility>

#include "client/library/client.h"
#include "client/library/connection.h"
#include "client/library/model_folder.h"
#include "lockstep/v1/jobs.grpc.pb.h"
#include "lockstep/v1/models.grpc.pb.h"

namespace lockstep {

absl::Status Client::WatchJob(const std::string& job, const std::function<bool(const v1::Job&)>& next) {
  const auto stub = v1::Jobs::NewStub(connection_->channel());
  v1::WatchJobRequest request;
  request.set_job(In(job));
  return connection_->Call(
      [&](grpc::ClientContext* context, bool* progressed) {
        const auto reader = stub->WatchJob(context, request);
        return ReadStream(reader.get(), context, progressed, [&](const v1::WatchJobResponse& response) {
          // From here on by id: a newer job may take the name while the stream is broken.
          request.set_job(response.job().id());
          return next(response.job());
        });
      },
      absl::InfiniteDuration());
}

absl::Status Client::StreamLogs(const v1::StreamLogsRequest& asked,
                                const std::function<bool(const v1::LogLine&)>& next) {
  v1::StreamLogsRequest request = asked;
  request.set_job(In(asked.job()));
  const auto stub = v1::Jobs::NewStub(connection_->channel());
  // A stream that had to be opened again starts over: pass on only what is new.
  std::set<std::tuple<int64_t, int32_t, int64_t>> seen;  // (generation, rank, sequence)
  int attempts = 0;
  return connection_->Call(
      [&](grpc::ClientContext* context, bool* progressed) {
        ++attempts;
        const auto reader = stub->StreamLogs(context, request);
        return ReadStream(reader.get(), context, progressed, [&](const v1::StreamLogsResponse& response) {
          for (const auto& line : response.lines()) {
            const bool is_new = seen.emplace(line.generation(), line.rank(), line.sequence()).second;
            if (!is_new && attempts > 1) continue;
            if (!next(line)) return false;
          }
          return true;
        });
      },
      absl::InfiniteDuration());
}

absl::Status Client::StreamMetrics(const v1::StreamMetricsRequest& asked,
                                   const std::function<bool(const v1::MetricPoint&)>& next) {
  v1::StreamMetricsRequest request = asked;
  request.set_job(In(asked.job()));
  const auto stub = v1::Jobs::NewStub(connection_->channel());
  int64_t delivered = 0;  // points come in one fixed order, so a count is a position
  return connection_->Call(
      [&](grpc::ClientContext* context, bool* progressed) {
        const auto reader = stub->StreamMetrics(context, request);
        int64_t position = 0;
        return ReadStream(reader.get(), context, progressed, [&](const v1::StreamMetricsResponse& response) {
          for (const auto& point : response.points()) {
            if (position++ < delivered) continue;
            ++delivered;
            if (!next(point)) return false;
          }
          return true;
        });
      },
      absl::InfiniteDuration());
}

absl::StatusOr<std::vector<std::string>> Client::DownloadModel(const std::string& job,
                                                               const std::string& folder) {
  const auto stub = v1::Models::NewStub(connection_->channel());
  v1::DownloadModelRequest request;
  request.set_job(In(job));
  std::unique_ptr<ModelFolder> files;
  absl::Status written;
  RETURN_IF_ERROR(connection_->Call(
      [&](grpc::ClientContext* context, bool* progressed) {
        files = std::make_unique<ModelFolder>(folder);  // a broken download starts over
        const auto reader = stub->DownloadModel(context, request);
        return ReadStream(reader.get(), context, progressed, [&](const v1::DownloadModelResponse& response) {
          written = files->Add(response);
          return written.ok();
        });
      },
      absl::InfiniteDuration()));
  RETURN_IF_ERROR(written);
  return files->Finish();
}

}  // namespace lockstep
