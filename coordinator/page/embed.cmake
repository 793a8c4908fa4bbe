# cmake -DOUTPUT=assets.cc -DFOLDER=... "-DFILES=a.js b.css" -P embed.cmake: the files as one C++ source.
separate_arguments(FILES)
set(arrays "")
set(entries "")
set(number 0)
foreach(file IN LISTS FILES)
  file(READ ${FOLDER}/${file} hex HEX)
  file(SHA256 ${FOLDER}/${file} digest)
  string(SUBSTRING ${digest} 0 16 digest)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," hex "${hex}")
  set(path /${file})
  if(file STREQUAL "index.html")
    set(path /)
    set(type "text/html; charset=utf-8")
  elseif(file MATCHES "\\.js$")
    set(type "text/javascript; charset=utf-8")
  elseif(file MATCHES "\\.css$")
    set(type "text/css; charset=utf-8")
  elseif(file MATCHES "\\.svg$")
    set(type "image/svg+xml")
  else()
    message(FATAL_ERROR "embed.cmake: what type has ${file}?")
  endif()
  string(APPEND arrays "constexpr char kFile${number}[] = {${hex}};\n")
  string(APPEND entries "    {\"${path}\", \"${type}\", \"${digest}\", {kFile${number}, sizeof kFile${number}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include \"coordinator/page/assets.h\"

namespace lockstep {
namespace {

${arrays}
constexpr PageAsset kAssets[] = {
${entries}};

}  // namespace

std::span<const PageAsset> PageAssets() { return kAssets; }

}  // namespace lockstep
")
