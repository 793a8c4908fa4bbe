# One version string, from git. It is made at each build, in one small source file, so that only that file is compiled again.
set(LOCKSTEP_VERSION_SOURCE ${CMAKE_BINARY_DIR}/generated/version.cc)
add_custom_target(lockstep_version_source
  COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DOUTPUT=${LOCKSTEP_VERSION_SOURCE}
          -P ${PROJECT_SOURCE_DIR}/common/build/make_version.cmake
  BYPRODUCTS ${LOCKSTEP_VERSION_SOURCE})
