#!/bin/bash
# cmake/lora_dist_dependencies.cmake: CMAKE_PREFIX_PATH comes before the system, and what is too old is named with its version.
set -u
source "$(dirname "$0")/../launch/expect.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)

mkdir "$scratch/project"
cat >"$scratch/project/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.22)
project(dependencies LANGUAGES C CXX)
list(APPEND CMAKE_MODULE_PATH $root/cmake)
include(lora_dist_dependencies)
foreach(library dnnl hdf5 sentencepiece pcre2 utf8proc zlib)
  get_target_property(folder lora_dist::\${library} INTERFACE_INCLUDE_DIRECTORIES)
  message(STATUS "\${library} from \${folder}")
endforeach()
message(STATUS "versions \${DNNL_VERSION} \${HDF5_VERSION} \${PCRE2_VERSION} \${UTF8PROC_VERSION} \${ZLIB_VERSION}")
CMAKE

# prefix <folder> <HDF5's minor number> <PCRE2's> <zlib's>: headers and libraries as a cluster's modules have them
prefix() {
  mkdir -p "$1"/{include/oneapi/dnnl,lib}
  touch "$1"/include/{hdf5.h,sentencepiece_processor.h,oneapi/dnnl/dnnl.h} "$1"/lib/lib{hdf5,dnnl,sentencepiece,pcre2-8,utf8proc,z}.so
  printf '#define H5_VERS_MAJOR 1 /* major */\n#define H5_VERS_MINOR\t%s\n#define H5_VERS_RELEASE 9\n' "$2" >"$1/include/H5public.h"
  printf '#define PCRE2_MAJOR           10\n#define PCRE2_MINOR           %s\n' "$3" >"$1/include/pcre2.h"
  printf '#define UTF8PROC_VERSION_MAJOR 2\n#define UTF8PROC_VERSION_MINOR 9\n' >"$1/include/utf8proc.h"
  printf '#define ZLIB_VER_MAJOR 1\n#define ZLIB_VER_MINOR %s\n' "$4" >"$1/include/zlib.h"
  printf '#define DNNL_VERSION_MAJOR 3\n#define DNNL_VERSION_MINOR 1\n#define DNNL_VERSION_PATCH 0\n' >"$1/include/oneapi/dnnl/dnnl_version.h"
}

prefix "$scratch/new" 14 43 3
expect_code 0 cmake -S "$scratch/project" -B "$scratch/build_new" -DCMAKE_PREFIX_PATH="$scratch/new"
for library in dnnl hdf5 sentencepiece pcre2 utf8proc zlib; do
  expect_said "$library from $scratch/new/include"
done
expect_said "versions 3.1.0 1.14.9 10.43 2.9 1.3"

prefix "$scratch/old" 8 22 1
expect_code 1 cmake -S "$scratch/project" -B "$scratch/build_old" -DCMAKE_PREFIX_PATH="$scratch/old"
expect_said "HDF5 1.10.7 or newer (found: 1.8.9 in $scratch/old/include): Debian package libhdf5-dev" \
  "PCRE2 10.40 or newer (found: 10.22 in $scratch/old/include): Debian package libpcre2-dev" \
  "zlib 1.2 or newer (found: 1.1 in $scratch/old/include): Debian package zlib1g-dev" \
  "apt-get install --no-install-recommends libhdf5-dev libpcre2-dev zlib1g-dev" "CMAKE_PREFIX_PATH"
expect_not_said utf8proc
finish
