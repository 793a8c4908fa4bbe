// OrderedSum against Gloo's own ring all-reduce, in the same processes on loopback.
//
// What is counted: microseconds of one call on rank 0, best of rounds, each round some calls back to back;
// all ranks hold one whole subtree (shards = world), the usual case. The ring's sum is not order-independent;
// it is the peer's price. Floor: the bytes must be copied into and out of the kernel once each, and added:
// printed as `floor`, from this machine's own memcpy speed over a buffer of that size, three passes over the
// bytes that a rank sends. Prediction: for short vectors a call costs one wake-up (or none when spinning)
// plus the system calls (1 send, 2 receives per 48 kB piece and peer); for long ones the copies, so that the
// time grows as the bytes do.
#include <gloo/allreduce.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/numerics/reduction_tree.h"
#include "worker/collective/collective.h"
#include "worker/collective/forked_ranks.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

double Microseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

// The best of many short rounds: what a call costs when nothing else wants the processor. Every rank makes
// the same calls: the counts depend on n alone.
double Best(size_t n, const std::function<void()>& call) {
  const int calls = static_cast<int>(std::clamp<size_t>(2'000'000 / (n + 20'000), 1, 50));
  const int rounds = n > 5'000'000 ? 4 : 40;
  double best = 1e12;
  for (int round = 0; round < rounds; ++round) {
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < calls; ++i) call();
    if (round > 0) best = std::min(best, Microseconds(Clock::now() - start) / calls);
  }
  return best;
}

double Floor(size_t bytes) {
  std::vector<char> from(bytes, 1), to(bytes);
  return 3 * Best(bytes / 4, [&] {
           std::memcpy(to.data(), from.data(), bytes);
           asm volatile("" : : "r"(to.data()) : "memory");
         });
}

absl::Status RunRank(int rank, int world, size_t n, bool spin, const std::string& store_path,
                     const ExchangeAddresses& exchange) {
  CollectiveOptions options;
  options.rank = rank;
  options.world = options.shards = world;
  options.n = n;
  options.spin = spin;
  ASSIGN_OR_RETURN(const std::unique_ptr<Collective> collective, MakeCollective(options, exchange));
  std::vector<float> mine(n, 1.0f), out(n);
  absl::Status status;
  const double ours = Best(n, [&] {
    if (status.ok()) status = collective->OrderedSum(mine.data(), out.data());
  });
  RETURN_IF_ERROR(status);

  double ring = 0;
  try {
    gloo::rendezvous::FileStore store(store_path);
    gloo::rendezvous::Context context(rank, world);
    std::shared_ptr<gloo::transport::Device> device = gloo::transport::tcp::CreateDevice("127.0.0.1");
    context.connectFullMesh(store, device);
    auto shared = std::shared_ptr<gloo::Context>(&context, [](gloo::Context*) {});
    gloo::AllreduceOptions reduce(shared);
    reduce.setOutput(out.data(), n);
    reduce.setReduceFunction(
        static_cast<void (*)(void*, const void*, const void*, size_t)>(&gloo::sum<float>));
    ring = Best(n, [&] { gloo::allreduce(reduce); });
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
  if (rank == 0) {
    const double floor = Floor(static_cast<size_t>(2.0 * n * 4 * (world - 1) / world));
    std::printf("%5d %9zu %5s %12.1f %12.1f %7.2f %9.1f\n", world, n, spin ? "yes" : "no", ours, ring,
                ours / ring, floor);
    std::fflush(stdout);
  }
  return absl::OkStatus();
}

int Main(const std::vector<int>& worlds) {
  std::printf("%5s %9s %5s %12s %12s %7s %9s\n", "world", "n", "spin", "ordered us", "ring us", "ratio",
              "floor us");
  std::fflush(stdout);
  for (const int world : worlds) {
    for (const bool spin : {false, true}) {
      if (spin && world > sysconf(_SC_NPROCESSORS_ONLN))
        continue;  // only where each rank has a core of its own
      for (const size_t n : {64, 1'024, 4'096, 17'248, 32'768, 65'536, 262'144, 1'000'000, 25'000'000}) {
        std::string store = (std::filesystem::temp_directory_path() / "lockstep_bench_XXXXXX").string();
        if (mkdtemp(store.data()) == nullptr) return 1;
        ForkedRanks ranks(
            world,
            [&](int rank, const ExchangeAddresses& exchange) {
              return RunRank(rank, world, n, spin, store, exchange);
            },
            absl::InfiniteDuration());
        const absl::Status status = ranks.WaitAll();
        std::error_code ignored;
        std::filesystem::remove_all(store, ignored);
        if (!status.ok()) {
          std::fprintf(stderr, "%s\n", status.ToString().c_str());
          return 1;
        }
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace lockstep

// ordered_sum_bench [WORLD...]
int main(int argc, char** argv) {
  std::vector<int> worlds;
  for (int i = 1; i < argc; ++i) worlds.push_back(atoi(argv[i]));
  for (const int world : worlds) {
    if (world >= 2 && world <= 16) continue;
    std::fprintf(stderr, "usage: %s [WORLD...], each from 2 to 16; default 2 4\n", argv[0]);
    return 2;
  }
  return lockstep::Main(worlds.empty() ? std::vector<int>{2, 4} : worlds);
}
