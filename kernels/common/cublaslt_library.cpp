// Loads cuBLASLt at first use, so that the program also starts on machines without CUDA, and without relocating a library of
// 700 MB in every process that computes on the CPU (25,000 page faults, 0.1 s). The functions below have cuBLASLt's names and
// forward their arguments.
#include <cublasLt.h>
#include <dlfcn.h>

#include <string>

#include "kernels/common/cublaslt.h"

namespace {

#define LORA_DIST_TEXT(number) #number
#define LORA_DIST_NAME_OF_VERSION(number) "libcublasLt.so." LORA_DIST_TEXT(number)
constexpr const char* kLibrary = LORA_DIST_NAME_OF_VERSION(CUBLAS_VER_MAJOR);  // of the headers that this file was compiled with

/// cuBLASLt's functions; `problem` is empty if all were found.
struct CublasLtLibrary {
  CublasLtLibrary() {
    handle = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      problem = std::string(kLibrary) + " could not be opened (" + dlerror() + "); LD_LIBRARY_PATH says where to look";
      return;
    }
    find(get_status_string, "cublasLtGetStatusString");
    find(create, "cublasLtCreate");
    find(destroy, "cublasLtDestroy");
    find(desc_create, "cublasLtMatmulDescCreate");
    find(desc_set, "cublasLtMatmulDescSetAttribute");
    find(desc_destroy, "cublasLtMatmulDescDestroy");
    find(layout_create, "cublasLtMatrixLayoutCreate");
    find(layout_destroy, "cublasLtMatrixLayoutDestroy");
    find(preference_create, "cublasLtMatmulPreferenceCreate");
    find(preference_set, "cublasLtMatmulPreferenceSetAttribute");
    find(preference_destroy, "cublasLtMatmulPreferenceDestroy");
    find(get_heuristic, "cublasLtMatmulAlgoGetHeuristic");
    find(matmul, "cublasLtMatmul");
  }

  template <typename Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(handle, name));
    if (function == nullptr && problem.empty()) {
      problem = std::string("this machine's ") + kLibrary + " has no " + name;
    }
  }

  void* handle = nullptr;
  std::string problem;
  decltype(&cublasLtGetStatusString) get_status_string = nullptr;
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtMatmulDescCreate) desc_create = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set = nullptr;
  decltype(&cublasLtMatmulDescDestroy) desc_destroy = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) get_heuristic = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
};

const CublasLtLibrary& cublaslt() {
  static const CublasLtLibrary library;
  return library;
}

}  // namespace

std::string lora_dist::why_no_cublaslt() { return cublaslt().problem; }

// Call only if why_no_cublaslt() is empty.
// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the header has its own
const char* cublasLtGetStatusString(cublasStatus_t status) { return cublaslt().get_status_string(status); }
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return cublaslt().create(handle); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return cublaslt().destroy(handle); }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute, cudaDataType_t scale) {
  return cublaslt().desc_create(desc, compute, scale);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  return cublaslt().desc_set(desc, attribute, value, bytes);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) { return cublaslt().desc_destroy(desc); }
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows, uint64_t cols,
                                          int64_t ld) {
  return cublaslt().layout_create(layout, type, rows, cols, ld);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return cublaslt().layout_destroy(layout); }
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return cublaslt().preference_create(preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
  return cublaslt().preference_set(preference, attribute, value, bytes);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return cublaslt().preference_destroy(preference);
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int asked,
                                              cublasLtMatmulHeuristicResult_t results[], int* found) {
  return cublaslt().get_heuristic(handle, desc, a, b, c, d, preference, asked, results, found);
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  return cublaslt().matmul(handle, desc, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algorithm, workspace,
                           workspace_bytes, stream);
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
