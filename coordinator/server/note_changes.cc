#include <google/protobuf/message.h>

#include <utility>

#include "coordinator/auth/rules.h"
#include "coordinator/server/agent_stream.h"
#include "coordinator/server/security.h"

namespace lockstep {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using grpc::experimental::InterceptionHookPoints;

// The text field `name` of a message, empty if it has none.
std::string TextOf(const Message& message, const char* name) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr || field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_STRING)
    return "";
  return message.GetReflection()->GetString(message, field);
}

const Message* PartOf(const Message& message, const char* name) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr || field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
    return nullptr;
  }
  return &message.GetReflection()->GetMessage(message, field);
}

class Note : public grpc::experimental::Interceptor {
 public:
  Note(const Authorizer* authorizer, AuditLog* audit, const Rule& rule,
       grpc::experimental::ServerRpcInfo* info)
      : note_(authorizer, audit, rule.method, info->server_context()) {}

  // The messages are those of the methods in the table, all of protobuf, whose Message is their first base.
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE)) {
      if (const void* request = methods->GetRecvMessage(); request != nullptr) {
        note_.Asked(*static_cast<const Message*>(request));
      }
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_MESSAGE)) {
      if (const void* response = methods->GetSendMessage(); response != nullptr) {
        const Message* job = PartOf(*static_cast<const Message*>(response), "job");
        if (job != nullptr && !TextOf(*job, "id").empty()) note_.About(TextOf(*job, "id"));
      }
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const grpc::Status status = methods->GetSendStatus();
      return note_.Ended(
          absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message()),
          [methods] { methods->Proceed(); });
    }
    methods->Proceed();
  }

 private:
  CallNote note_;
};

class NoteFactory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  NoteFactory(const Authorizer* authorizer, AuditLog* audit) : authorizer_(authorizer), audit_(audit) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    const char* method = info->method();
    if (method == nullptr) return nullptr;
    const Rule* rule = FindRule(method[0] == '/' ? method + 1 : method);
    if (rule == nullptr || !rule->changes || rule->method == AgentStream::kMethod) return nullptr;
    return new Note(authorizer_, audit_, *rule, info);
  }

 private:
  const Authorizer* const authorizer_;
  AuditLog* const audit_;
};

}  // namespace

CallNote::CallNote(const Authorizer* authorizer, AuditLog* audit, std::string_view method,
                   const grpc::ServerContextBase* call)
    : authorizer_(authorizer), audit_(audit), call_(call) {
  entry_.rpc = std::string(method);
}

void CallNote::Asked(const Message& request) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(asked_, true)) return;
  entry_.job = TextOf(request, "job");
  for (const Message* part :
       {&request, PartOf(request, "fault"), PartOf(request, "spec"), PartOf(request, "register")}) {
    for (const char* field : {"worker", "name", "path"}) {
      if (part != nullptr && entry_.target.empty()) entry_.target = TextOf(*part, field);
    }
  }
}

void CallNote::Opened(const Message& request) {
  Asked(request);
  audit_->Append(Entry("OPENED"));
}

void CallNote::About(const std::string& job) {
  const std::lock_guard lock(mutex_);
  entry_.job = job;
}

void CallNote::Ended(const absl::Status& status, std::function<void()> written) {
  AuditEntry entry = Entry(absl::StatusCodeToString(status.code()));
  entry.reason = std::string(status.message());
  audit_->Append(std::move(entry), std::move(written));
}

AuditEntry CallNote::Entry(const std::string& outcome) {
  AuditEntry entry;
  {
    const std::lock_guard lock(mutex_);
    entry = entry_;
  }
  const auto header = call_->client_metadata().find("authorization");
  if (header != call_->client_metadata().end()) {
    const Caller caller = authorizer_->Identify({header->second.data(), header->second.size()});
    entry.who = caller.name;
    entry.role = caller.role;
  }
  for (const auto& value : call_->auth_context()->FindPropertyValues(GRPC_X509_SUBJECT_PROPERTY_NAME)) {
    entry.certificate = std::string(value.data(), value.size());
  }
  entry.peer = call_->peer();
  entry.outcome = outcome;
  return entry;
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> NoteChanges(
    const Authorizer* authorizer, AuditLog* audit) {
  return std::make_unique<NoteFactory>(authorizer, audit);
}

}  // namespace lockstep
