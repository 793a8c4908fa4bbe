// One request and its answer over a connected socket.
#pragma once

#include <string>

#include "common/http/http_server.h"
#include "common/net/tls_server.h"

namespace lockstep {

// Reads a request, has `handler` answer it, and closes. Blocks, within the options' times.
void ServeOnce(const HttpServer::Options& options, const HttpHandler& handler, const std::string& peer,
               SocketStream* stream);

}  // namespace lockstep
