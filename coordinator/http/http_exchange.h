// One request and its answer over a connected socket.
#pragma once

#include <string>

#include "common/net/tls_server.h"
#include "coordinator/http/http_server.h"

namespace lockstep {

// Reads a request, has `router` answer it, and closes. Blocks, within the options' times.
void ServeOnce(const HttpServer::Options& options, const Router& router, const std::string& peer,
               SocketStream* stream);

}  // namespace lockstep
