#include "coordinator/server/completion_queues.h"

#include <utility>

namespace lockstep {

CompletionQueues::CompletionQueues(grpc::ServerBuilder* builder, int count) {
  for (int i = 0; i < count; ++i) queues_.push_back(builder->AddCompletionQueue());
}

CompletionQueues::~CompletionQueues() { Shutdown(); }

void CompletionQueues::Start(const std::function<void(grpc::ServerCompletionQueue*)>& begin) {
  for (const auto& queue : queues_) {
    begin(queue.get());
    threads_.emplace_back([served = queue.get()] { Serve(served); });
  }
}

void CompletionQueues::Shutdown() {
  if (std::exchange(over_, true)) return;
  for (const auto& queue : queues_) queue->Shutdown();
  for (std::thread& thread : threads_) thread.join();
  if (!threads_.empty()) return;
  for (const auto& queue : queues_) Serve(queue.get());  // never started: a queue must still be emptied
}

void CompletionQueues::Serve(grpc::ServerCompletionQueue* queue) {
  void* tag = nullptr;
  bool ok = false;
  while (queue->Next(&tag, &ok)) static_cast<QueueTag*>(tag)->react(ok);
}

}  // namespace lockstep
