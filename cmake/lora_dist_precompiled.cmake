# Precompiles headers that most files include: for src the standard library, fmt and JSON; for tests also GoogleTest. Files still
# include what they use: `make lint` compiles without precompiled headers.
option(LORA_DIST_PRECOMPILED "Precompile the headers that most files include" ON)

set(LORA_DIST_PRECOMPILED_HEADERS
    <algorithm> <array> <cmath> <filesystem> <functional> <map> <memory> <numeric> <optional> <set> <span> <string> <string_view> <variant>
    <vector> <fmt/format.h> <nlohmann/json.hpp>)

# lora_dist_precompiled_library(<name> <headers> [libraries...]): compiles the headers; other targets reuse them.
function(lora_dist_precompiled_library name headers)
  if(LORA_DIST_PRECOMPILED)
    file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp CONTENT "// Nothing but the precompiled headers.\n")
    add_library(${name} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
    target_link_libraries(${name} PRIVATE lora_dist_compiler lora_dist_kernels_common fmt::fmt nlohmann_json::nlohmann_json ${ARGN})
    target_precompile_headers(${name} PRIVATE ${${headers}})
  endif()
endfunction()

# lora_dist_use_precompiled(<target> <library>)
function(lora_dist_use_precompiled target library)
  if(LORA_DIST_PRECOMPILED)
    target_precompile_headers(${target} REUSE_FROM ${library})
    # GCC refuses a precompiled header that was compiled with a definition which the target lacks.
    target_compile_definitions(${target} PRIVATE $<TARGET_PROPERTY:fmt::fmt,INTERFACE_COMPILE_DEFINITIONS>)
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      # GCC 12 reports impossible copies in std::string (its bug 105651), and forgets that a precompiled header is a system header.
      target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-array-bounds>
                                               $<$<COMPILE_LANGUAGE:CXX>:-Wno-stringop-overflow>)
    endif()
  endif()
endfunction()
