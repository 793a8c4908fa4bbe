#include "common/metrics/declaration.h"

#include "absl/strings/str_cat.h"
#include "common/metrics/common_metrics.h"

namespace lockstep {
namespace {

const char* Word(MetricType type) {
  switch (type) {
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kCounter:
      return "counter";
    case MetricType::kHistogram:
      return "histogram";
  }
  return "";
}

}  // namespace

std::string DescribeMetrics(const std::string& title, const MetricTable& table) {
  std::string text =
      absl::StrCat("## ", title, "\n\n| metric | type | unit | labels | what |\n|---|---|---|---|---|\n");
  for (const MetricDeclaration* metric : table) {
    const std::string labels = *metric->labels == '\0' ? "" : absl::StrCat("`", metric->labels, "`");
    absl::StrAppend(&text, "| `", metric->name, "` | ", Word(metric->type), " | ", metric->unit, " | ",
                    labels, " | ", metric->help, " |\n");
  }
  return text;
}

const MetricTable& CommonMetrics() {
  static const auto& table =
      *new MetricTable{&kBuildInfo, &kResidentMemory, &kStartTime, &kCpuSeconds, &kOpenFiles};
  return table;
}

std::string DescribeDaemon(const std::string& program, const MetricTable& table) {
  return absl::StrCat(DescribeMetrics("Every daemon", CommonMetrics()), "\n",
                      DescribeMetrics(program, table));
}

}  // namespace lockstep
