// Completion queues of a server that threads of ours serve, one thread each, for streams that wait for
// something most of the time and are many: a queue keeps a list of all operations that are outstanding, and
// where gRPC was built with its assertions (as Debian does) each completion searches it.
// gRPC's callback API has one queue for the whole process.
//
//   constructor -> the server is built -> Start -> the server is shut down -> Shutdown
//
// Thread-safe after Start.
#pragma once

#include <grpcpp/completion_queue.h>
#include <grpcpp/server_builder.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace lockstep {

// What an operation's tag points to; alive until the operation is done.
struct QueueTag {
  std::function<void(bool ok)> react;  // on the queue's thread
};

class CompletionQueues {
 public:
  // `builder`'s server is to be destroyed before this.
  CompletionQueues(grpc::ServerBuilder* builder, int count);
  ~CompletionQueues();  // as Shutdown

  // `begin` starts the first operations of each queue. REQUIRES: the server runs.
  void Start(const std::function<void(grpc::ServerCompletionQueue*)>& begin);
  // Returns when every operation that was begun is done. REQUIRES: the server is shut down. Idempotent.
  void Shutdown();

 private:
  static void Serve(grpc::ServerCompletionQueue* queue);

  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues_;
  std::vector<std::thread> threads_;
  bool over_ = false;
};

}  // namespace lockstep
