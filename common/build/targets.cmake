# lockstep_library(NAME SOURCES... DEPS targets...)  and lockstep_test(NAME SOURCES... DEPS... [LABELS ...]) carry the house's flags.
add_library(lockstep_flags INTERFACE)
target_include_directories(lockstep_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(lockstep_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers -Werror>
  $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings -Xcompiler=-Wall,-Wextra,-Werror>)
# The same source must give the same bits in every build: no contraction or reassociation that the source does not ask for.
target_compile_options(lockstep_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(lockstep_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wthread-safety>)
endif()
# -O3 is for the code that computes (lockstep_compute); the rest is compiled with -O2.
string(REPLACE "-O3" "-O2" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
# What is tested is optimised as it will run; the tests around it need not be, and take half the time to compile.
set(lockstep_test_options $<$<CONFIG:Release>:-O0>)
if(LOCKSTEP_SANITIZE)
  string(REPLACE "-g" "-g1" CMAKE_CXX_FLAGS_DEBUG "${CMAKE_CXX_FLAGS_DEBUG}")  # lines, as reports show them
  set(lockstep_test_options -O0)
endif()
if(LOCKSTEP_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=address,undefined)
elseif(LOCKSTEP_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=thread)
elseif(LOCKSTEP_SANITIZE STREQUAL "fuzz")  # Clang; the targets of tests/fuzz alone are meant to be built so
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=address,undefined)
endif()

# One -pthread for all: a precompiled header is refused where its macros differ.
target_compile_options(lockstep_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-pthread>)
# What nearly every source includes is parsed once. Packages' headers alone, so that no change of ours recompiles everything; what computes
# (-O3) and the tests (-O0) cannot share a header compiled for -O2.
function(lockstep_precompiled name)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/${name}.cc CONTENT "")
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/generated/${name}.cc)
  target_link_libraries(${name} PRIVATE lockstep_flags protobuf::libprotobuf absl::statusor absl::strings absl::time absl::synchronization)
  target_precompile_headers(${name} PRIVATE <algorithm> <condition_variable> <deque> <filesystem> <fstream> <functional> <map> <memory>
    <numeric> <optional> <set> <string> <thread> <vector>
    <absl/status/statusor.h> <absl/strings/str_cat.h> <absl/strings/str_format.h> <absl/strings/str_join.h> <absl/strings/str_split.h>
    <absl/synchronization/mutex.h> <absl/time/clock.h> <absl/time/time.h>
    <google/protobuf/duration.pb.h> <google/protobuf/map_entry.h> <google/protobuf/map_field_inl.h> <google/protobuf/message.h>
    <google/protobuf/timestamp.pb.h> ${ARGN})
endfunction()
lockstep_precompiled(lockstep_precompiled_library)
lockstep_precompiled(lockstep_precompiled_test <gmock/gmock.h> <gtest/gtest.h>)
target_link_libraries(lockstep_precompiled_test PRIVATE GTest::gmock)
target_compile_options(lockstep_precompiled_test PRIVATE ${lockstep_test_options})

# The sources of a library a few at a time: headers are most of the work. The presets release, asan and tsan do so; in debug each source
# stands by itself, so that it is seen to include what it needs, and a change recompiles little.
option(LOCKSTEP_UNITY "compile the sources of a library together")
if(LOCKSTEP_UNITY)  # a source is not a header because another one includes it
  target_compile_options(lockstep_flags INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-subobject-linkage>)
endif()

# Compiles the sources of a library together, with the packages' headers already parsed.
function(lockstep_together name)
  target_precompile_headers(${name} REUSE_FROM lockstep_precompiled_library)
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${LOCKSTEP_UNITY} UNITY_BUILD_BATCH_SIZE 12)
endfunction()

function(lockstep_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC lockstep_flags ${ARG_DEPS})
  lockstep_together(${name})
endfunction()

# Makes a library one that computes.
function(lockstep_compute name)
  target_compile_options(${name} PRIVATE $<$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CXX>>:-O3>)
  set_target_properties(${name} PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)
endfunction()

function(lockstep_binary name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE lockstep_flags ${ARG_DEPS})
  target_precompile_headers(${name} REUSE_FROM lockstep_precompiled_library)
endfunction()

function(lockstep_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests
    UNITY_BUILD ${LOCKSTEP_UNITY} UNITY_BUILD_BATCH_SIZE 12)
  target_link_libraries(${name} PRIVATE lockstep_flags ${ARG_DEPS} GTest::gmock_main)
  target_compile_options(${name} PRIVATE ${lockstep_test_options})
  target_precompile_headers(${name} REUSE_FROM lockstep_precompiled_test)
  set_property(GLOBAL APPEND PROPERTY lockstep_unit_tests ${name})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 300)
endfunction()
