// Namespaces for people: what each has in use, of how much.
#pragma once

#include <string>

#include "lockstep/v1/namespaces.pb.h"

namespace lockstep {

std::string NamespacesView(const v1::ListNamespacesResponse& spaces);
std::string NamespaceView(const v1::Namespace& space);

}  // namespace lockstep
