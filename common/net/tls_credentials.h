// gRPC's credentials from PEM files, which are looked at every second: a connection that is made after a file
// changed uses the new one. Those that exist stay.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "common/net/tls_files.h"

namespace lockstep {

// Empty `files`: no TLS.
std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(const TlsFiles& files);

// With files.ca a client must show a certificate from there. REQUIRES: files.cert and files.key.
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const TlsFiles& files);

}  // namespace lockstep
