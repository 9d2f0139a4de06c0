# Language level, warnings, optimisation and sanitizers, for every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)  # an installed program finds its libraries (modules, Spack)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(LORA_DIST_CCACHE ccache)
if(LORA_DIST_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Without this ccache does not cache files that use a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${LORA_DIST_CCACHE})
endif()

# Language level and warnings apply to C++ files; lora_dist_cuda.cmake has those of .cu files.
add_library(lora_dist_compiler INTERFACE)
target_compile_options(lora_dist_compiler INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Werror>")
# An internal error names its file relative to the root of the sources, not with a path of the build machine.
# (A compiler cache may have made that path relative to the build folder.)
target_compile_options(lora_dist_compiler INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-fmacro-prefix-map=${CMAKE_CURRENT_SOURCE_DIR}/=;-fmacro-prefix-map=../=>")
target_compile_definitions(lora_dist_compiler INTERFACE LORA_DIST_VERSION="${PROJECT_VERSION}")
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 reports overlapping copies in "literal" + std::string (its bug 105651).
  target_compile_options(lora_dist_compiler INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
target_include_directories(lora_dist_compiler INTERFACE ${CMAKE_CURRENT_SOURCE_DIR})
if(LORA_DIST_SANITIZE)
  # GCC's flow analysis reports instrumented code as uninitialised or overflowing, hence the last three.
  target_compile_options(
    lora_dist_compiler
    INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined;-fno-sanitize-recover=undefined;-fno-omit-frame-pointer>"
              "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized;-Wno-stringop-overflow;-Wno-array-bounds>")
  target_link_options(lora_dist_compiler INTERFACE -fsanitize=address,undefined)
endif()
if(LORA_DIST_FUZZ)
  # Coverage for libFuzzer; only the targets of tests/fuzz link its main function. Clang warns in places where GCC does not.
  target_compile_options(lora_dist_compiler INTERFACE -fsanitize=fuzzer-no-link -Wno-error)
endif()

# For kernels: loops may be vectorised as written (sums are reordered only by `omp simd`); errno and traps are not observed.
add_library(lora_dist_kernel_options INTERFACE)
target_compile_options(lora_dist_kernel_options INTERFACE -O3 -fno-math-errno -fno-trapping-math -fopenmp-simd)

# lora_dist_compile_together(<target> <ON|OFF> <files at a time>)
function(lora_dist_compile_together target on batch)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${on} UNITY_BUILD_BATCH_SIZE ${batch})
  if(on)
    # A class of one file may have members of a type in its anonymous namespace; the warning takes the file for a header.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()
