// Kernels on a GPU, beside what the device attains in the same run: a copy for those that wait for memory,
// the library's largest product (or our own, without the library) for those that multiply.
//
//   device_bench [--least]    --least: the smallest sizes and one round, to see that it runs
//
// A line a kernel: microseconds, what that is of the attainable. Shapes are those of GPT-2 124M with 16 x
// 1,024 tokens. Times are the host's around enough launches to make the wait invisible, medians of five.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cublas/lt_product.h"
#include "kernels/cuda/activation.h"
#include "kernels/cuda/arrange.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/combine.h"
#include "kernels/cuda/cross_entropy.h"
#include "kernels/cuda/flat_update.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/launched.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/runtime.h"

namespace {

using namespace lockstep::kernels;
using Queue = std::function<Launched()>;

void Demand(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "device_bench: %s\n", std::string(status.message()).c_str());
  std::exit(1);
}
template <class T>
T Demand(absl::StatusOr<T> made) {
  Demand(made.status());
  return *std::move(made);
}

class Bench {
 public:
  explicit Bench(bool least) : least_(least), stream_(Demand(DeviceStream::Make(0))) {
    const DeviceProperties device = Demand(PropertiesOf(0));
    std::printf("%s, sm_%d%d, %d multiprocessors, %s\n\n", device.name.c_str(), device.major, device.minor,
                device.multiprocessors, device.toolkit.c_str());
    std::printf("%-34s %-28s %12s %22s %8s\n", "kernel", "shape", "us", "achieved", "ratio");
  }

  Stream stream() const { return stream_.get(); }
  const DeviceStream& device_stream() const { return stream_; }
  // A size of the run, or a small one.
  int64_t Of(int64_t count, int64_t least) const { return least_ ? least : count; }

  // `count` floats on the device, none of them special.
  float* Floats(int64_t count) {
    float* const at = static_cast<float*>(Take(count * 4));
    constexpr int64_t kFirst = 9973;  // a prime, so that rows differ
    std::vector<float> first;
    for (int64_t i = 0; i < std::min(count, kFirst); ++i) {
      first.push_back(static_cast<float>(i % 97) / 48.0f - 1.0f);
    }
    Demand(stream_.ToDevice(at, first.data(), first.size() * 4));
    for (int64_t done = std::ssize(first); done < count;) {
      const int64_t more = std::min(done, count - done);
      Demand(stream_.OnDevice(at + done, at, static_cast<size_t>(more) * 4));
      done += more;
    }
    Demand(stream_.Wait());
    return at;
  }
  void* Take(int64_t bytes) {
    blocks_.push_back(Demand(DeviceBlock::Allocate(0, static_cast<size_t>(bytes))));
    Demand(stream_.Zero(blocks_.back().data(), static_cast<size_t>(bytes)));
    return blocks_.back().data();
  }
  void Release() {
    Demand(stream_.Wait());
    blocks_.clear();
  }

  double Seconds(const Queue& queue) const {
    const auto run = [&](int times) {
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < times; ++i) Demand(ToStatus(queue()));
      Demand(stream_.Wait());
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / times;
    };
    const double once = run(1);
    if (least_) return once;
    const int times = std::clamp(static_cast<int>(0.03 / run(3)), 3, 3000);
    std::vector<double> rounds;
    for (int round = 0; round < 5; ++round) rounds.push_back(run(times));
    std::sort(rounds.begin(), rounds.end());
    return rounds[2];
  }

  // Of what waits for memory: `bytes` are read and written once. The first is the ceiling.
  void Memory(const char* name, const std::string& shape, double bytes, const Queue& queue) {
    const double seconds = Seconds(queue), rate = bytes / seconds;
    if (bandwidth_ == 0) bandwidth_ = rate;
    std::printf("%-34s %-28s %12.1f %15.0f GB/s %8.2f\n", name, shape.c_str(), seconds * 1e6, rate / 1e9,
                rate / bandwidth_);
  }
  // Of what multiplies; `ceiling` of FLOP/s is taken from the first.
  double Compute(const char* name, const std::string& shape, double flops, double ceiling,
                 const Queue& queue) {
    const double seconds = Seconds(queue), rate = flops / seconds;
    std::printf("%-34s %-28s %12.1f %13.2f TFLOP/s %7.2f\n", name, shape.c_str(), seconds * 1e6, rate / 1e12,
                rate / (ceiling == 0 ? rate : ceiling));
    return rate;
  }

 private:
  const bool least_;
  const DeviceStream stream_;
  std::vector<DeviceBlock> blocks_;
  double bandwidth_ = 0;
};

std::string Text(std::initializer_list<int64_t> extents) {
  std::string text;
  for (const int64_t extent : extents) text += (text.empty() ? "" : " x ") + std::to_string(extent);
  return text;
}

void Elementwise(Bench& bench) {
  const int64_t rows = bench.Of(16 * 1024, 3), width = bench.Of(768, 32), wide = 4 * width;
  const double one = 4.0 * static_cast<double>(rows * width), four = 4.0 * static_cast<double>(rows * wide);
  {
    const int64_t count = bench.Of(int64_t{1} << 28, 1000);
    float *const a = bench.Floats(count), *const b = bench.Floats(count);
    bench.Memory("copy (the ceiling)", Text({count}), 8.0 * static_cast<double>(count), [&]() -> Launched {
      Demand(bench.device_stream().OnDevice(b, a, static_cast<size_t>(count) * 4));
      return {};
    });
    bench.Release();
  }
  float *const x = bench.Floats(rows * wide), *const y = bench.Floats(rows * wide),
               *const z = bench.Floats(rows * wide), *const mean = bench.Floats(rows),
               *const rstd = bench.Floats(rows), *const gamma = bench.Floats(wide);
  const Stream on = bench.stream();
  bench.Memory("layer norm, forward", Text({rows, width}), 2 * one, [&] {
    return cuda::LayerNormForward(rows, width, 1e-5f, gamma, gamma, x, y, mean, rstd, on);
  });
  bench.Memory("layer norm, backward", Text({rows, width}), 3 * one,
               [&] { return cuda::LayerNormBackward(rows, width, gamma, x, mean, rstd, y, false, z, on); });
  bench.Memory("RMS norm, forward", Text({rows, width}), 2 * one,
               [&] { return cuda::RmsNormForward(rows, width, 1e-5f, gamma, x, y, rstd, on); });
  bench.Memory("RMS norm, backward", Text({rows, width}), 3 * one,
               [&] { return cuda::RmsNormBackward(rows, width, gamma, x, rstd, y, false, z, on); });
  bench.Memory("bias and GELU, forward", Text({rows, wide}), 2 * four,
               [&] { return cuda::BiasActivationForward(Activation::kGelu, rows, wide, gamma, x, y, on); });
  bench.Memory("GELU, backward", Text({rows, wide}), 3 * four,
               [&] { return cuda::ActivationBackward(Activation::kGelu, rows * wide, x, y, z, on); });
  bench.Memory("residual addition", Text({rows, width}), 3 * one,
               [&] { return cuda::AddForward(rows * width, x, y, z, on); });
  bench.Release();
}

void Classifier(Bench& bench) {
  const int64_t rows = bench.Of(4096, 3), classes = bench.Of(50257, 50);
  float *const logits = bench.Floats(rows * classes), *const losses = bench.Floats(rows),
               *const correct = bench.Floats(rows);
  auto* const labels = static_cast<int32_t*>(bench.Take(rows * 4));  // class 0
  bench.Memory("softmax cross-entropy, in place", Text({rows, classes}),
               8.0 * static_cast<double>(rows * classes), [&] {
                 return cuda::SoftmaxCrossEntropy(rows, classes, 1.0f, labels, logits, losses, correct, 0,
                                                  bench.stream());
               });
  bench.Release();
}

void Optimizer(Bench& bench) {
  const int64_t count = bench.Of(124'439'808, 10'000);
  float *const w = bench.Floats(count), *const g = bench.Floats(count), *const m = bench.Floats(count),
               *const v = static_cast<float*>(bench.Take(count * 4));
  auto* const rounded = static_cast<uint16_t*>(bench.Take(count * 2));
  std::vector<cuda::FlatPiece> pieces;
  for (int64_t at = 0; at < count; at += cuda::kFlatPiece) {
    cuda::FlatPiece piece;
    piece.offset = at;
    piece.size = static_cast<int>(std::min(cuda::kFlatPiece, count - at));
    pieces.push_back(piece);
  }
  const auto bytes = static_cast<int64_t>(pieces.size() * sizeof(cuda::FlatPiece));
  auto* const on_device = static_cast<cuda::FlatPiece*>(bench.Take(bytes));
  Demand(bench.device_stream().ToDevice(on_device, pieces.data(), static_cast<size_t>(bytes)));
  Demand(bench.device_stream().Wait());
  const cuda::FlatPieces all{on_device, static_cast<int>(pieces.size())};
  auto* const squares = static_cast<double*>(bench.Take(std::ssize(pieces) * 8));
  auto* const verdict = static_cast<cuda::FlatVerdict*>(bench.Take(sizeof(cuda::FlatVerdict)));
  const Stream on = bench.stream();
  const auto floats = static_cast<double>(count);
  bench.Memory("gradient's norm", Text({count}), 4 * floats,
               [&] { return cuda::FlatRegularize(all, 0, 0, w, g, squares, on); });
  Demand(ToStatus(cuda::FlatClip(all, squares, {}, verdict, on)));
  cuda::FlatSteps<AdamStep> steps = {};
  steps.at[0] = {0.9f, 0.999f, 1e-4f, 1.0f, 1e-8f, 0.0f, 1.0f};
  bench.Memory("AdamW", Text({count}), 28 * floats,
               [&] { return cuda::FlatAdam(all, steps, verdict, g, m, v, w, {}, on); });
  for (const bool stochastic : {false, true}) {
    const cuda::FlatRounded to{rounded, {stochastic, 1, 1}};
    bench.Memory(stochastic ? "AdamW, rounded stochastically" : "AdamW, rounded", Text({count}), 30 * floats,
                 [&] { return cuda::FlatAdam(all, steps, verdict, g, m, v, w, to, on); });
  }
  bench.Release();
}

// The fastest of the library's proposals, as a reproducible job may use them.
double Library(Bench& bench, const LtContext& context, const LtShape& shape, const std::string& text,
               double ceiling) {
  const auto product = Demand(LtProduct::Make(context, shape));
  const std::vector<LtAlgorithm> candidates = Demand(product->Candidates(8, true));
  if (candidates.empty()) {
    std::printf("%-34s %-28s the library has no algorithm\n", "cuBLASLt", text.c_str());
    return 0;
  }
  float *const a = bench.Floats(shape.batch * shape.m * shape.k), *const b = bench.Floats(shape.n * shape.k),
               *const c = bench.Floats(shape.batch * shape.m * shape.n);
  void* const workspace = bench.Take(context.library().workspace);
  const auto queue = [&](const LtAlgorithm& algorithm) {
    Demand(product->Run(algorithm, a, b, c, workspace, bench.stream()));
    return Launched{};
  };
  const LtAlgorithm* best = nullptr;
  double least = 0;
  for (const LtAlgorithm& each : candidates) {
    const double seconds = bench.Seconds([&] { return queue(each); });
    if (best == nullptr || seconds < least) least = seconds, best = &each;
  }
  const double flops = 2.0 * shape.batch * static_cast<double>(shape.m * shape.n * shape.k);
  const std::string name = shape.type == GemmType::kBf16 ? "cuBLASLt, bf16" : "cuBLASLt, fp32";
  return bench.Compute(name.c_str(), text, flops, ceiling, [&] { return queue(*best); });
}

double Own(Bench& bench, GemmType type, int64_t m, int64_t n, int64_t k, bool transposed,
           const std::string& text, double ceiling) {
  GemmArguments product{m,
                        n,
                        k,
                        bench.Floats(m * k),
                        k,
                        bench.Floats(n * k),
                        transposed ? k : n,
                        transposed,
                        bench.Floats(m * n),
                        n,
                        false};
  if (type == GemmType::kBf16) product.b_rounded = static_cast<uint16_t*>(bench.Take(2 * n * k));
  const double flops = 2.0 * static_cast<double>(m * n * k);
  return bench.Compute(type == GemmType::kBf16 ? "our own, bf16" : "our own, fp32", text, flops, ceiling,
                       [&] { return cuda::Gemm(type, product, bench.stream()); });
}

// c (m, n) of a batch of shards' rows; b is (n, k) as in the forward pass, or (k, n).
void Products(Bench& bench) {
  const absl::StatusOr<const LtLibrary*> library = LoadLt();
  if (!library.ok()) std::printf("\n%s\n", std::string(library.status().message()).c_str());
  std::unique_ptr<LtContext> context;
  if (library.ok()) context = std::make_unique<LtContext>(Demand(LtContext::Make(*library)));
  const int64_t rows = bench.Of(16 * 1024, 24), width = bench.Of(768, 16);
  constexpr int kShards = 8;
  for (const GemmType type : {GemmType::kBf16, GemmType::kFp32}) {
    std::printf("\n");
    const int64_t side = bench.Of(type == GemmType::kBf16 ? 8192 : 4096, 32);
    double ceiling = 0;
    if (context != nullptr) {
      LtShape square;
      square.type = type;
      square.m = square.n = square.k = side;
      ceiling = Library(bench, *context, square, Text({side, side, side}), 0);
      bench.Release();
    }
    const double own = Own(bench, type, side, side, side, true, Text({side, side, side}), ceiling);
    if (ceiling == 0) ceiling = own;
    bench.Release();
    for (const auto& [n, k] :
         {std::pair{3 * width, width}, {width, width}, {4 * width, width}, {width, 4 * width}}) {
      for (const bool transposed : {true, false}) {
        const std::string text = Text({rows, n, k}) + (transposed ? ", b^T" : "");
        if (context != nullptr) {
          LtShape shape;
          shape.type = type;
          shape.m = rows / kShards, shape.n = n, shape.k = k;
          shape.b_transposed = transposed;
          shape.batch = kShards;
          shape.a_stride = shape.m * k, shape.c_stride = shape.m * n;
          Library(bench, *context, shape, text, ceiling);
          bench.Release();
        }
        Own(bench, type, rows, n, k, transposed, text, ceiling);
        bench.Release();
      }
    }
  }
}

void Attention(Bench& bench) {
  std::printf("\n");
  const int64_t rows = bench.Of(16, 1), heads = bench.Of(12, 1), steps = bench.Of(1024, 20), width = 64;
  AttentionShape shape;
  shape.steps = steps, shape.heads = shape.key_heads = heads, shape.head_width = width;
  shape.scale = 0.125f;
  shape.q_stride = shape.k_stride = shape.v_stride = 3 * heads * width;
  const int64_t count = rows * steps * heads * width;
  float *const fused = bench.Floats(3 * count), *const gradients = bench.Floats(3 * count),
               *const y = bench.Floats(count), *const dy = bench.Floats(count),
               *const log_sums = bench.Floats(rows * heads * steps),
               *const offsets = bench.Floats(rows * heads * steps);
  const float *const q = fused, *const k = q + heads * width, *const v = k + heads * width;
  float *const dq = gradients, *const dk = dq + heads * width, *const dv = dk + heads * width;
  // Half of 4 T^2 d: what is masked is not counted.
  const double flops = 2.0 * static_cast<double>(rows * heads * steps * steps * width);
  const std::string text = Text({rows, heads, steps, width}) + ", causal";
  for (const GemmType type : {GemmType::kBf16, GemmType::kFp32}) {
    const bool bf16 = type == GemmType::kBf16;
    bench.Compute(bf16 ? "attention, forward, bf16" : "attention, forward, fp32", text, flops, 0, [&] {
      return cuda::AttentionForward(type, shape, rows, q, k, v, y, log_sums, bench.stream());
    });
    bench.Compute(bf16 ? "attention, backward, bf16" : "attention, backward, fp32", text, 2.5 * flops, 0,
                  [&] {
                    return cuda::AttentionBackward(type, shape, rows, q, k, v, y, log_sums, dy, dq, dk, dv,
                                                   offsets, bench.stream());
                  });
  }
  bench.Release();
}

}  // namespace

int main(int argc, char** argv) {
  const bool least = argc == 2 && std::string_view(argv[1]) == "--least";
  if (argc > 1 && !least) {
    std::fprintf(stderr, "device_bench [--least]    --least: the smallest sizes, to see that it runs\n");
    return 2;
  }
  if (CountDevices() == 0) {
    std::printf("device_bench: this machine has no GPU, or this build no CUDA; nothing was measured\n");
    return 0;
  }
  Bench bench(least);
  Elementwise(bench);
  Classifier(bench);
  Optimizer(bench);
  Products(bench);
  Attention(bench);
}
