# CUDA, if found. The .cu files become one object library, which every executable links: compiled by nvcc, or for tests by
# the C++ compiler with the emulator's headers (tests/cuda_emulation), which runs the same kernels on the CPU.
set(LORA_DIST_CUDA AUTO CACHE STRING "Build for NVIDIA GPUs: AUTO, ON or OFF")
set(LORA_DIST_CUDA_ARCHITECTURES 90 CACHE STRING "Chips to compile for, e.g. 75;80;90;100;120 (the last one also as PTX)")
set(LORA_DIST_WITH_CUDA FALSE)
set(LORA_DIST_WITH_NCCL FALSE)
set(LORA_DIST_WITH_CUDNN FALSE)

if(NOT LORA_DIST_CUDA STREQUAL OFF)
  # Machine code for each chip; PTX, which later chips can translate, for the last one.
  set(CMAKE_CUDA_ARCHITECTURES ${LORA_DIST_CUDA_ARCHITECTURES})
  list(POP_BACK CMAKE_CUDA_ARCHITECTURES last_architecture)
  list(TRANSFORM CMAKE_CUDA_ARCHITECTURES APPEND -real)
  list(APPEND CMAKE_CUDA_ARCHITECTURES ${last_architecture})
  include(CheckLanguage)
  check_language(CUDA)
  find_package(CUDAToolkit 12.8 QUIET)  # the first with nvcc --compress-mode
  if(CMAKE_CUDA_COMPILER AND CUDAToolkit_FOUND AND TARGET CUDA::cublasLt)
    enable_language(CUDA)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 lacks it for nvcc 13
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    endif()
    set(CMAKE_CUDA_STANDARD 20)
    set(CMAKE_CUDA_EXTENSIONS OFF)
    set(LORA_DIST_WITH_CUDA TRUE)
    find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
    if(NCCL_INCLUDE_DIR AND EXISTS ${CMAKE_SOURCE_DIR}/src/comm/nccl_communicator.cpp)
      set(LORA_DIST_WITH_NCCL TRUE)
    endif()
    find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
    find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h HINTS ${CMAKE_SOURCE_DIR}/build-deps/cudnn_frontend/include)
    if(CUDNN_INCLUDE_DIR AND CUDNN_FRONTEND_INCLUDE_DIR)
      set(LORA_DIST_WITH_CUDNN TRUE)
    endif()
    message(STATUS "CUDA ${CUDAToolkit_VERSION} for ${LORA_DIST_CUDA_ARCHITECTURES}; NCCL: ${LORA_DIST_WITH_NCCL}; cuDNN attention: "
                   "${LORA_DIST_WITH_CUDNN}")
  elseif(LORA_DIST_CUDA STREQUAL ON)
    message(FATAL_ERROR "LORA_DIST_CUDA=ON, but nvcc (${CMAKE_CUDA_COMPILER}) or cuBLASLt of CUDA 12.8 or newer was not found. Install the "
                        "CUDA toolkit (nvcc, cudart, cuBLAS) and put nvcc on PATH or set CUDACXX.")
  else()
    message(STATUS "CUDA: not found, left out (make cuda says what is missing)")
  endif()
endif()

# The library that every executable links; empty in a build without CUDA.
set(LORA_DIST_DEVICE_LIBRARY)

# lora_dist_device_sources(<variable>): every .cu file but cuDNN's
function(lora_dist_device_sources variable)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/*/*.cu)
  list(FILTER sources EXCLUDE REGEX "/cudnn_[a-z]+\\.cu$")
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()

# Makes lora_dist_cuda, and the emulated one for tests. Call after the other libraries.
function(lora_dist_device_libraries)
  if(NOT LORA_DIST_WITH_CUDA)
    return()
  endif()
  lora_dist_device_sources(sources)
  set(without_cudnn ${CMAKE_CURRENT_SOURCE_DIR}/kernels/attention/cudnn_absent.cpp)
  set(with_cudnn ${CMAKE_CURRENT_SOURCE_DIR}/kernels/attention/cudnn_attention.cu
                 ${CMAKE_CURRENT_SOURCE_DIR}/kernels/attention/cudnn_graph.cpp)
  set(nccl ${CMAKE_CURRENT_SOURCE_DIR}/src/comm/nccl_communicator.cpp ${CMAKE_CURRENT_SOURCE_DIR}/src/comm/nccl_group.cpp)
  set(nccl_library ${CMAKE_CURRENT_SOURCE_DIR}/src/comm/nccl_library.cpp)
  set(without_nccl ${CMAKE_CURRENT_SOURCE_DIR}/src/comm/nccl_absent.cpp)

  add_library(lora_dist_cuda OBJECT ${sources})
  target_compile_options(lora_dist_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Wall,-Wextra,-Werror,-Wno-restrict>")
  target_compile_options(lora_dist_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--compress-mode=size>)  # five chips in one program
  target_include_directories(lora_dist_cuda PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(lora_dist_cuda PRIVATE LORA_DIST_WITH_CUDA)
  target_link_libraries(lora_dist_cuda PUBLIC CUDA::cudart_static CUDA::cublasLt)
  if(LORA_DIST_WITH_CUDNN)
    target_sources(lora_dist_cuda PRIVATE ${with_cudnn})
    # It only prepares calls; optimising the frontend's headers would take minutes.
    set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/kernels/attention/cudnn_graph.cpp PROPERTIES COMPILE_OPTIONS -O1)
    target_include_directories(lora_dist_cuda SYSTEM PRIVATE ${CUDNN_FRONTEND_INCLUDE_DIR} ${CUDNN_INCLUDE_DIR})
    target_link_libraries(lora_dist_cuda PUBLIC ${CMAKE_DL_LIBS})  # libcudnn is opened at run time, if installed
  else()
    target_sources(lora_dist_cuda PRIVATE ${without_cudnn})
  endif()
  if(LORA_DIST_WITH_NCCL)
    target_sources(lora_dist_cuda PRIVATE ${nccl} ${nccl_library})
    target_include_directories(lora_dist_cuda SYSTEM PRIVATE ${NCCL_INCLUDE_DIR})
    target_link_libraries(lora_dist_cuda PUBLIC ${CMAKE_DL_LIBS})  # libnccl is opened at run time, if installed
  else()
    target_sources(lora_dist_cuda PRIVATE ${without_nccl})
  endif()
  target_link_libraries(lora_dist_cuda PUBLIC lora_dist_kernels lora_dist_comm)
  set(LORA_DIST_DEVICE_LIBRARY lora_dist_cuda PARENT_SCOPE)

  if(LORA_DIST_TESTS)
    file(GLOB emulator CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/tests/cuda_emulation/*.cpp)
    list(FILTER emulator EXCLUDE REGEX "_test\\.cpp$")
    # A copy under another name: a source file has one language, which must stay CUDA for nvcc.
    set(as_cpp)
    foreach(source IN LISTS sources)
      file(RELATIVE_PATH name ${CMAKE_CURRENT_SOURCE_DIR} ${source})
      string(REPLACE "/" "_" name ${name})
      set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/emulated/${name}.cpp)
      file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"${source}\"\n")
      list(APPEND as_cpp ${wrapper})
    endforeach()
    add_library(lora_dist_cuda_emulated OBJECT ${as_cpp} ${emulator} ${without_cudnn} ${nccl})
    target_include_directories(lora_dist_cuda_emulated BEFORE PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/tests/cuda_emulation)
    target_compile_options(lora_dist_cuda_emulated PRIVATE -Wno-unknown-pragmas)  # #pragma unroll is for nvcc
    target_compile_definitions(lora_dist_cuda_emulated PRIVATE LORA_DIST_WITH_CUDA)
    target_link_libraries(lora_dist_cuda_emulated PUBLIC lora_dist_kernels lora_dist_comm)
  endif()
endfunction()
