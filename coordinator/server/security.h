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

#include <memory>
#include <string>

#include "coordinator/auth/audit_log.h"
#include "coordinator/auth/authorizer.h"

namespace lockstep {

// For ServerCredentials: checks token, role (coordinator/auth/rules.h) and rate of every call.
std::shared_ptr<grpc::AuthMetadataProcessor> AdmitCalls(Authorizer* authorizer, AuditLog* audit);

// Holds the answer of each call that changes something until its line is on disk.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> NoteChanges(
    const Authorizer* authorizer, AuditLog* audit);

// The SHA-256 of the token that a call came with; empty: none.
std::string OwnerOf(const grpc::ServerContextBase& call);

// What its token may see. `tokens`: null where nobody is asked for one, so that everybody sees everything.
Scope ScopeOf(const grpc::ServerContextBase& call, const TokenStore* tokens);

}  // namespace lockstep
