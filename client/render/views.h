// The API's answers as tables and pages for people. Pure functions of the message and the time; each ends
// with a newline.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "client/render/text.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/jobs.pb.h"
#include "lockstep/v1/models.pb.h"
#include "lockstep/v1/workers.pb.h"

namespace lockstep {

std::string JobsView(const v1::ListJobsResponse& jobs, absl::Time now);
std::string JobView(const v1::Job& job, absl::Time now, const Style& style);
// What a finished job has to show: how long it took, test metrics; for `lockstep run` and `submit --follow`.
std::string ResultView(const v1::Job& job, const Style& style);
std::string ConfusionMatrixView(const v1::ConfusionMatrix& matrix);
std::string WorkersView(const v1::ListWorkersResponse& workers);
std::string CheckpointsView(const v1::ListCheckpointsResponse& checkpoints, absl::Time now);
std::string AuditView(const v1::AuditJobResponse& audit, const Style& style);
std::string DatasetsView(const v1::ListDatasetsResponse& datasets, absl::Time now);
// What its records are: "records", "characters" or "tokens".
std::string RecordsText(const v1::Dataset& dataset);
std::string DatasetView(const v1::Dataset& dataset, absl::Time now);
std::string ModelsView(const v1::ListModelsResponse& models, absl::Time now);
std::string LogLineView(const v1::LogLine& line, absl::TimeZone zone);  // "12:30:01.250 node-0/1 text"

}  // namespace lockstep
