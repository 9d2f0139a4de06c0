# All external libraries, with the oldest version that has the used interface. Packages are those of Debian 12, whose versions
# are tested; `make deps` installs them. Elsewhere (modules, Spack, conda) CMAKE_PREFIX_PATH sets the search path. One message
# names all libraries that are missing or too old.
include(lora_dist_find_library)
set(LORA_DIST_MISSING "")

# lora_dist_need(<found variable> <library> <oldest version, or ""> <Debian package> [<found version>])
macro(lora_dist_need found what at_least package)
  if(NOT ${found})
    string(APPEND LORA_DIST_MISSING "\n  ${what}")
    if(NOT "${at_least}" STREQUAL "")
      string(APPEND LORA_DIST_MISSING " ${at_least} or newer")
    endif()
    if(NOT "${ARGN}" STREQUAL "")
      string(APPEND LORA_DIST_MISSING " (found: ${ARGN})")
    endif()
    string(APPEND LORA_DIST_MISSING ": Debian package ${package}")
    list(APPEND LORA_DIST_MISSING_PACKAGES ${package})
  endif()
endmacro()

# lora_dist_package(<CMake package> <library> <oldest version> <Debian package> [components...]): a library with a CMake package
macro(lora_dist_package name what at_least package)
  find_package(${name} ${at_least} QUIET ${ARGN})
  set(lora_dist_seen ${${name}_CONSIDERED_VERSIONS})
  if(NOT ${name}_FOUND AND NOT lora_dist_seen)
    set(lora_dist_seen ${${name}_VERSION})
  endif()
  lora_dist_need(${name}_FOUND "${what}" ${at_least} ${package} ${lora_dist_seen})
endmacro()

# If several are installed, Debian names their programs mpicxx.<mpi> and mpirun.<mpi>.
set(LORA_DIST_MPI "" CACHE STRING "Which of several MPI libraries: openmpi, mpich; empty: the default one")
set(LORA_DIST_MPIRUN_NAMES mpirun mpiexec)
set(LORA_DIST_MPIRUN_PACKAGE openmpi-bin)
if(LORA_DIST_MPI)
  find_program(MPI_CXX_COMPILER mpicxx.${LORA_DIST_MPI})
  find_program(MPIEXEC_EXECUTABLE mpiexec.${LORA_DIST_MPI})
  set(LORA_DIST_MPIRUN_NAMES mpirun.${LORA_DIST_MPI})
  set(LORA_DIST_MPIRUN_PACKAGE ${LORA_DIST_MPI})
endif()
lora_dist_package(MPI "MPI" 3.0 libopenmpi-dev COMPONENTS CXX)
find_program(LORA_DIST_MPIRUN NAMES ${LORA_DIST_MPIRUN_NAMES})
lora_dist_need(LORA_DIST_MPIRUN "mpirun" "" ${LORA_DIST_MPIRUN_PACKAGE})
set(LORA_DIST_OPENMP_PACKAGE g++)
if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  string(REGEX MATCH "^[0-9]+" major "${CMAKE_CXX_COMPILER_VERSION}")
  set(LORA_DIST_OPENMP_PACKAGE libomp-${major}-dev)
endif()
lora_dist_package(OpenMP "OpenMP" 4.0 ${LORA_DIST_OPENMP_PACKAGE} COMPONENTS CXX)

lora_dist_package(TBB "oneTBB" 2021.5 libtbb-dev CONFIG)
lora_dist_package(Boost "Boost.Program_options" 1.66 libboost-program-options-dev COMPONENTS program_options)
lora_dist_package(tomlplusplus "toml++" 3.0 libtomlplusplus-dev CONFIG)
lora_dist_package(nlohmann_json "JSON for Modern C++" 3.9 nlohmann-json3-dev CONFIG)
lora_dist_package(fmt "fmt" 8.0 libfmt-dev CONFIG)
lora_dist_package(Eigen3 "Eigen" 3.4 libeigen3-dev CONFIG)
lora_dist_package(spectra "Spectra" 1.0 libspectra-dev CONFIG)
lora_dist_package(OpenSSL "OpenSSL" 1.1.1 libssl-dev COMPONENTS Crypto)

# Debian's dnnl-config.cmake requires OpenCL, which is not used here.
lora_dist_find_library(DNNL HEADER oneapi/dnnl/dnnl.h LIBRARIES dnnl VERSION_IN oneapi/dnnl/dnnl_version.h
                       MACROS DNNL_VERSION_MAJOR DNNL_VERSION_MINOR DNNL_VERSION_PATCH AT_LEAST 2.0)
lora_dist_need(DNNL_FOUND "oneDNN" 2.0 libdnnl-dev ${DNNL_VERSION})
# Debian can install both flavours; the serial one suffices. Elsewhere the parallel one works as well.
lora_dist_find_library(HDF5 HEADER hdf5.h LIBRARIES hdf5_serial hdf5 SUFFIXES hdf5/serial VERSION_IN H5public.h
                       MACROS H5_VERS_MAJOR H5_VERS_MINOR H5_VERS_RELEASE AT_LEAST 1.10.7)
lora_dist_need(HDF5_FOUND "HDF5" 1.10.7 libhdf5-dev ${HDF5_VERSION})
lora_dist_find_library(SENTENCEPIECE HEADER sentencepiece_processor.h LIBRARIES sentencepiece)  # its headers have no version
lora_dist_need(SENTENCEPIECE_FOUND "SentencePiece" "" libsentencepiece-dev)
lora_dist_find_library(PCRE2 HEADER pcre2.h LIBRARIES pcre2-8 VERSION_IN pcre2.h MACROS PCRE2_MAJOR PCRE2_MINOR AT_LEAST 10.40)
lora_dist_need(PCRE2_FOUND "PCRE2" 10.40 libpcre2-dev ${PCRE2_VERSION})
lora_dist_find_library(UTF8PROC HEADER utf8proc.h LIBRARIES utf8proc VERSION_IN utf8proc.h
                       MACROS UTF8PROC_VERSION_MAJOR UTF8PROC_VERSION_MINOR AT_LEAST 2.7)
lora_dist_need(UTF8PROC_FOUND "utf8proc" 2.7 libutf8proc-dev ${UTF8PROC_VERSION})
lora_dist_find_library(ZLIB HEADER zlib.h LIBRARIES z VERSION_IN zlib.h MACROS ZLIB_VER_MAJOR ZLIB_VER_MINOR AT_LEAST 1.2)
lora_dist_need(ZLIB_FOUND "zlib" 1.2 zlib1g-dev ${ZLIB_VERSION})

if(LORA_DIST_TESTS)
  lora_dist_package(GTest "GoogleTest" 1.11 libgtest-dev CONFIG)
  set(LORA_DIST_GMOCK_FOUND FALSE)
  if(GTest_FOUND AND TARGET GTest::gmock)
    set(LORA_DIST_GMOCK_FOUND TRUE)
  endif()
  lora_dist_need(LORA_DIST_GMOCK_FOUND "GoogleMock" "" libgmock-dev)
endif()
if(LORA_DIST_BENCHMARKS)
  lora_dist_package(benchmark "Google Benchmark" 1.5 libbenchmark-dev CONFIG)
endif()

if(LORA_DIST_MISSING)
  list(REMOVE_DUPLICATES LORA_DIST_MISSING_PACKAGES)
  list(JOIN LORA_DIST_MISSING_PACKAGES " " packages)
  message(FATAL_ERROR "Missing:${LORA_DIST_MISSING}\nOn Debian install all of it with `make deps`, or as root:\n"
                      "  apt-get update && apt-get install --no-install-recommends ${packages}\n"
                      "Elsewhere name the folders that they are installed in: cmake -DCMAKE_PREFIX_PATH=\"/apps/hdf5;/apps/boost\"")
endif()
