#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"
#include "client/render/plot.h"

namespace lockstep {
namespace {

class PlotCommand : public JobCommand {
 public:
  std::string name() const override { return "plot"; }
  std::string summary() const override {
    return "Draw a job's curves in the terminal: training and validation loss";
  }
  std::string examples() const override {
    return "lockstep plot digits\nlockstep plot digits --metric validation/accuracy\nlockstep plot digits "
           "--log";
  }
  void Declare(Flags* flags) override {
    JobCommand::Declare(flags);
    flags->Texts("--metric", &metrics_,
                 "What to draw (default: train/loss and validation/loss); again for more", "NAME");
    flags->Number("--height", &height_, 4, 200, "Rows (default 16)");
    flags->Switch("--log", &logarithmic_, "Logarithmic y axis");
    flags->Switch("--ascii", &ascii_, "No Unicode, whatever the locale");
  }

  absl::StatusOr<int> Run(Session* session) override {
    if (metrics_.empty()) metrics_ = {"train/loss", "validation/loss"};
    v1::StreamMetricsRequest request;
    request.set_job(job_);
    v1::StreamMetricsResponse all;
    std::vector<Series> series;
    for (const auto& metric : metrics_) series.push_back({metric, {}});
    RETURN_IF_ERROR(session->client().StreamMetrics(request, [&](const v1::MetricPoint& point) {
      *all.add_points() = point;
      for (auto& one : series) {
        const auto at = point.values().find(one.name);
        if (at != point.values().end()) one.points.emplace_back(point.epoch(), at->second);
      }
      return true;
    }));
    PlotOptions options;
    options.style = session->out_style();
    if (ascii_) options.style.unicode = false;
    options.height = height_;
    options.logarithmic = logarithmic_;
    options.x_label = "epoch";
    const std::string drawing = PlotText(series, options);
    if (drawing.empty() && session->wants_table()) {
      session->err() << "there is nothing to draw yet: " << job_ << " has reported no such metric"
                     << std::endl;
    }
    session->Print(all, drawing);
    return kExitSucceeded;
  }

 private:
  std::vector<std::string> metrics_;
  int height_ = 16;
  bool logarithmic_ = false;
  bool ascii_ = false;
};

}  // namespace

std::unique_ptr<Command> MakePlotCommand() { return std::make_unique<PlotCommand>(); }

}  // namespace lockstep
