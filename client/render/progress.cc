#include "client/render/progress.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/spec/text_names.h"

namespace lockstep {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr absl::Duration kPlainAtMost = absl::Seconds(1);
constexpr absl::Duration kPlainAtLeast = absl::Seconds(5);
constexpr int kBarWidth = 20;

// Eighths of a cell where Unicode allows.
std::string Bar(double fraction, bool unicode) {
  fraction = std::clamp(std::isfinite(fraction) ? fraction : 0.0, 0.0, 1.0);
  if (!unicode) {
    const int full = static_cast<int>(fraction * kBarWidth);
    return absl::StrCat("[", std::string(static_cast<size_t>(full), '#'),
                        std::string(static_cast<size_t>(kBarWidth - full), '.'), "]");
  }
  constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(fraction * kBarWidth * 8);
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  bar += kEighths[eighths % 8];
  const int used = eighths / 8 + (eighths % 8 > 0 ? 1 : 0);
  return absl::StrCat("▕", bar, std::string(static_cast<size_t>(kBarWidth - used), ' '), "▏");
}

// The first `width` columns.
std::string Cut(const std::string& text, int width) {
  if (width <= 0 || DisplayWidth(text) <= static_cast<size_t>(width)) return text;
  size_t end = 0;
  for (int columns = 0; end < text.size(); ++end) {
    if ((static_cast<unsigned char>(text[end]) & 0xC0) != 0x80 && columns++ == width) break;
  }
  return text.substr(0, end);
}

std::string Validation(const v1::JobProgress& progress) {
  if (!progress.has_validation_loss()) return "";
  std::string text = absl::StrCat("  validation ", NumberText(progress.validation_loss()));
  if (progress.has_validation_accuracy()) {
    absl::StrAppend(&text, " (accuracy ", FractionText(progress.validation_accuracy()), ")");
  }
  return text;
}

}  // namespace

bool IsFinal(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

std::string StateText(v1::JobState state) { return EnumText(*v1::JobState_descriptor(), state); }

std::string PaintedState(v1::JobState state, const Style& style) {
  const std::string text = StateText(state);
  switch (state) {
    case v1::JOB_STATE_SUCCEEDED:
    case v1::JOB_STATE_RUNNING:
      return style.Green(text);
    case v1::JOB_STATE_FAILED:
      return style.Red(text);
    case v1::JOB_STATE_CANCELLED:
    case v1::JOB_STATE_PAUSED:
    case v1::JOB_STATE_RECOVERING:
      return style.Yellow(text);
    default:
      return text;
  }
}

std::string ProgressLine(const v1::Job& job, const Style& style, bool bar) {
  const auto& progress = job.progress();
  std::string line;
  if (bar) {
    const double total = static_cast<double>(progress.total_steps());
    absl::StrAppend(&line, Bar(total > 0 ? static_cast<double>(progress.step()) / total : 0, style.unicode),
                    " ");
  }
  absl::StrAppend(&line, Printable(job.name()));
  if (progress.total_epochs() > 0) {
    absl::StrAppendFormat(&line, "  epoch %.1f/%d", progress.epoch(), progress.total_epochs());
  }
  absl::StrAppend(&line, "  step ", progress.step());
  if (progress.total_steps() > 0) absl::StrAppend(&line, "/", progress.total_steps());
  absl::StrAppend(&line, "  loss ", NumberText(progress.train_loss()), Validation(progress));
  if (progress.samples_per_second() > 0) {
    absl::StrAppend(&line, "  ", CountText(std::llround(std::min(progress.samples_per_second(), 1e15))),
                    " samples/s");
  }
  if (progress.has_remaining() && !IsFinal(job.state())) {
    absl::StrAppend(&line, "  ", DurationText(ToDuration(progress.remaining())), " left");
  }
  return Cut(line, style.width);
}

std::string StateLine(const v1::Job& job, const Style& style) {
  const bool ended = job.state() == v1::JOB_STATE_SUCCEEDED || job.state() == v1::JOB_STATE_FAILED;
  const char* verb = ended ? " " : job.state() == v1::JOB_STATE_CANCELLED ? " was " : " is ";
  std::string line = absl::StrCat(style.Bold(Printable(job.name())), " (", Printable(job.id()), ")", verb,
                                  PaintedState(job.state(), style));
  const bool placed = job.state() == v1::JOB_STATE_RUNNING || job.state() == v1::JOB_STATE_STARTING;
  if (placed && !job.members().empty()) {
    std::vector<std::string> members;
    for (const auto& member : job.members()) {
      members.push_back(Printable(absl::StrCat(member.worker(), " ", member.device())));
    }
    absl::StrAppend(&line, " on ", absl::StrJoin(members, ", "));
    if (job.generation() > 1) absl::StrAppend(&line, " (generation ", job.generation(), ")");
  } else if (!job.reason().empty()) {
    absl::StrAppend(&line, ": ", Printable(job.reason()));
  }
  return line;
}

std::string ProgressReporter::Clear() {
  if (!drawn_) return "";
  drawn_ = false;
  return "\r\x1b[K";
}

std::string ProgressReporter::Update(const v1::Job& job, absl::Time now) {
  std::string out;
  // The reason of a waiting job says what it waits for, and changes.
  const bool waiting = job.state() == v1::JOB_STATE_QUEUED || job.state() == v1::JOB_STATE_RECOVERING;
  const bool changed =
      job.state() != state_ || job.generation() != generation_ || (waiting && job.reason() != reason_);
  const auto& progress = job.progress();
  const bool stepped = progress.step() > 0 && progress.step() != last_step_;
  auto remember = [&] {
    last_ = now;
    last_step_ = progress.step();
    last_epoch_ = progress.epoch();
  };
  // The last figures before the end are shown even where the next line was not yet due.
  if (!live_ && stepped && IsFinal(job.state()) && changed) {
    Style whole = style_;
    whole.width = 0;
    absl::StrAppend(&out, ProgressLine(job, whole, false), "\n");
    remember();
  }
  if (changed) {
    state_ = job.state();
    generation_ = job.generation();
    reason_ = job.reason();
    absl::StrAppend(&out, Clear(), StateLine(job, style_), "\n");
  }
  if (IsFinal(job.state()) || !stepped) return out;
  if (live_) {
    if (!changed && now - last_ < kRedraw) return out;
    Style narrow = style_;
    narrow.width = std::max(style_.width - 1, 20);
    absl::StrAppend(&out, "\r", ProgressLine(job, narrow, true), "\x1b[K");
    drawn_ = true;
    remember();
    return out;
  }
  const bool next_epoch = std::floor(progress.epoch()) > std::floor(last_epoch_);
  if (now - last_ >= kPlainAtLeast || (next_epoch && now - last_ >= kPlainAtMost)) {
    Style whole = style_;
    whole.width = 0;
    absl::StrAppend(&out, ProgressLine(job, whole, false), "\n");
    remember();
  }
  return out;
}

}  // namespace lockstep
