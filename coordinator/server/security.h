// What the server asks of each call before a service sees it, and what it notes of it afterwards: the only
// place of gRPC's side where calls are let in or turned away. Nothing owned; all must outlive the server.
//
//   metadata --AdmitCalls--> turned away: status, a line in the audit log
//                       +--> service --> answer --NoteChanges: its line is on disk--> sent
#pragma once

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_interceptor.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "coordinator/auth/audit_log.h"
#include "coordinator/auth/authorizer.h"
#include "coordinator/server/live_streams.h"

namespace google::protobuf {
class Message;
}

namespace lockstep {

// For ServerCredentials: checks token, role (coordinator/auth/rules.h) and rate of every call.
std::shared_ptr<grpc::AuthMetadataProcessor> AdmitCalls(Authorizer* authorizer, AuditLog* audit);

// What the audit log gets of one call. Nothing owned; all must outlive it. Thread-safe.
class CallNote {
 public:
  // `method` must last, as a literal does.
  CallNote(const Authorizer* authorizer, AuditLog* audit, std::string_view method,
           const grpc::ServerContextBase* call);

  void Asked(const google::protobuf::Message& request);   // the first one counts
  void Opened(const google::protobuf::Message& request);  // the same, of a stream, which has a line for it
  void About(const std::string& job);                     // its id, once it is known
  void Ended(const absl::Status& status, std::function<void()> written);  // see AuditLog::Append

 private:
  AuditEntry Entry(const std::string& outcome);

  const Authorizer* const authorizer_;
  AuditLog* const audit_;
  const grpc::ServerContextBase* const call_;
  std::mutex mutex_;
  AuditEntry entry_;  // guarded by mutex_
  bool asked_ = false;
};

// Holds the answer of each call that changes something until its line is on disk; agents' streams
// (agent_stream.h) do it themselves.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> NoteChanges(
    const Authorizer* authorizer, AuditLog* audit);

// The SHA-256 of the token that a call came with; empty: none.
std::string OwnerOf(const grpc::ServerContextBase& call);

// That token, and the connection that it came by.
StreamOwner StreamOwnerOf(const grpc::ServerContextBase& call);

// What its token may see. `tokens`: null where nobody is asked for one, so that everybody sees everything.
Scope ScopeOf(const grpc::ServerContextBase& call, const TokenStore* tokens);

}  // namespace lockstep
