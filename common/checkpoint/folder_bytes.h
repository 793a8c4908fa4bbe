// What a folder takes on disk.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

// Bytes of the regular files in it, those of folders within it included; what cannot be read counts nothing.
int64_t FolderBytes(const std::string& folder);

}  // namespace lockstep
