// Each CPU kernel's source is compiled three times, for x86-64, x86-64-v3 (AVX2, FMA) and x86-64-v4
// (AVX-512), into the namespace LOCKSTEP_ISA; dispatch.cc picks one at start. Such a source includes nothing
// that defines inline functions of general use: the linker keeps one copy of those, perhaps the one that this
// processor lacks.
#pragma once

#ifndef LOCKSTEP_ISA
#error "compiled by kernels/CMakeLists.txt only, which names the instruction set"
#endif
