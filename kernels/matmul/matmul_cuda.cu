// The CUDA side of matmul: cuBLASLt. It is column-major, so a row-major product is computed as its transpose: C^T = op(B)^T
// op(A)^T; a row-major matrix has the memory layout of its column-major transpose.
#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "kernels/common/cuda_kernel.h"
#include "kernels/common/device.h"
#include "kernels/matmul/matmul.h"

namespace lora_dist {
namespace {

constexpr std::size_t kWorkspaceBytes = 32U << 20U;
constexpr std::size_t kHopperWorkspaceBytes = 64U << 20U;
// Packed batches have ever new numbers of tokens; the oldest shapes are evicted.
constexpr std::size_t kMostPlans = 1024;
// Kernels that add a bias may read 16 bytes of it at once, and cuBLASLt has no preference for its alignment.
constexpr std::uint32_t kLeastBiasAlign = 16;

// The key of the algorithm: equal keys always get the same algorithm.
struct Problem {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  bool turn_a = false;
  bool turn_b = false;
  bool reads_c = false;
  bool bias = false;
  DType in = DType::f32;
  DType out = DType::f32;
  std::uint32_t align_a = 0;
  std::uint32_t align_b = 0;
  std::uint32_t align_onto = 0;
  std::uint32_t align_c = 0;
  std::uint32_t align_bias = 0;

  auto operator<=>(const Problem&) const = default;
};

std::string described(const Problem& p) {
  const auto matrix = [](std::int64_t rows, std::int64_t cols) {
    return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
  };
  return "matmul of " + matrix(p.m, p.k) + " and " + matrix(p.k, p.n) + (p.turn_a ? ", the first transposed" : "") +
         (p.turn_b ? ", the second transposed" : "");
}

void check_products(cublasStatus_t status, const std::string& doing) {
  if (status == CUBLAS_STATUS_ALLOC_FAILED) {
    throw DeviceError(DeviceProblem::out_of_memory, "out of memory on the GPU: cuBLASLt found none in " + doing);
  }
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw DeviceError(DeviceProblem::failed, doing + ": cuBLASLt says " + cublasLtGetStatusString(status));
  }
}

cudaDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::bf16:
      return CUDA_R_16BF;
    case DType::f16:
      return CUDA_R_16F;
    default:
      require(false, "matmul: a dtype that is no float");
      return CUDA_R_32F;
  }
}

// The largest power of two that divides the address, at most the largest alignment that cuBLASLt considers.
std::uint32_t alignment_of(const void* data) {
  const auto bits = reinterpret_cast<std::uintptr_t>(data) | 256U;
  return static_cast<std::uint32_t>(bits & (~bits + 1U));
}

struct DestroyHandle {
  void operator()(cublasLtHandle_t handle) const { cublasLtDestroy(handle); }
};
struct DestroyOperation {
  void operator()(cublasLtMatmulDesc_t operation) const { cublasLtMatmulDescDestroy(operation); }
};
struct DestroyLayout {
  void operator()(cublasLtMatrixLayout_t layout) const { cublasLtMatrixLayoutDestroy(layout); }
};
struct DestroyPreference {
  void operator()(cublasLtMatmulPreference_t preference) const { cublasLtMatmulPreferenceDestroy(preference); }
};
using Handle = std::unique_ptr<std::remove_pointer_t<cublasLtHandle_t>, DestroyHandle>;
using Operation = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulDesc_t>, DestroyOperation>;
using Layout = std::unique_ptr<std::remove_pointer_t<cublasLtMatrixLayout_t>, DestroyLayout>;
using Preference = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>, DestroyPreference>;

struct Plan {
  bool bias_apart = false;  // no algorithm adds this bias: the rest is empty, and c takes it before the product
  Operation operation;
  Layout a;
  Layout b;
  Layout c;
  cublasLtMatmulAlgo_t algorithm = {};
  std::size_t workspace_bytes = 0;
};

struct Products final : CudaExtension {
  explicit Products(CudaContext& context) : workspace_bytes(context.capability >= 90 ? kHopperWorkspaceBytes : kWorkspaceBytes) {
    cublasLtHandle_t made = nullptr;
    check_products(cublasLtCreate(&made), "opening cuBLASLt");
    handle.reset(made);
    workspace = allocate_device(workspace_bytes);
    context.extension_bytes += workspace_bytes;
  }
  ~Products() override { free_device(workspace); }

  Handle handle;
  std::size_t workspace_bytes;
  void* workspace = nullptr;
  std::map<Problem, Plan> plans;
};

Products& products_of(const Stream& stream) {
  CudaContext& context = cuda_context(stream);
  if (!context.products) {
    context.products = std::make_unique<Products>(context);
  }
  return static_cast<Products&>(*context.products);
}

// A row-major [rows, cols] matrix as the [cols, rows] one that cuBLASLt sees.
Layout layout_of(DType dtype, std::int64_t rows, std::int64_t cols, const std::string& name) {
  cublasLtMatrixLayout_t made = nullptr;
  check_products(cublasLtMatrixLayoutCreate(&made, data_type(dtype), static_cast<std::uint64_t>(cols),
                                            static_cast<std::uint64_t>(rows), cols),
                 name);
  return Layout(made);
}

template <class Value>
void set(const Operation& operation, cublasLtMatmulDescAttributes_t attribute, Value value, const std::string& name) {
  check_products(cublasLtMatmulDescSetAttribute(operation.get(), attribute, &value, sizeof(value)), name);
}
template <class Value>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, Value value, const std::string& name) {
  check_products(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof(value)), name);
}

Preference preference_for(const Problem& p, std::size_t workspace_bytes, const std::string& name) {
  cublasLtMatmulPreference_t made = nullptr;
  check_products(cublasLtMatmulPreferenceCreate(&made), name);
  Preference preference(made);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(workspace_bytes), name);
  // Split-k is allowed only with f32 partial sums in the workspace, which have a fixed order: atomic sums in C have none, and
  // partial sums in C's dtype lose bits.
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE),
      name);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, p.align_b, name);  // operands are swapped
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, p.align_a, name);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, p.align_onto, name);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, p.align_c, name);
  return preference;
}

Plan bias_apart() {
  Plan plan;
  plan.bias_apart = true;
  return plan;
}

Plan make_plan(const Products& products, const Problem& p, const void* bias) {
  if (p.bias && p.align_bias < kLeastBiasAlign) {
    return bias_apart();
  }
  const std::string name = described(p);
  Plan plan;
  cublasLtMatmulDesc_t made = nullptr;
  check_products(cublasLtMatmulDescCreate(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F), name);  // f32 sums, no TF32
  plan.operation.reset(made);
  set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSA, p.turn_b ? CUBLAS_OP_T : CUBLAS_OP_N, name);
  set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSB, p.turn_a ? CUBLAS_OP_T : CUBLAS_OP_N, name);
  if (p.bias) {  // in D's dtype, cuBLASLt's default
    set(plan.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS, name);
    set(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias, name);
  }
  plan.a = layout_of(p.in, p.turn_a ? p.k : p.m, p.turn_a ? p.m : p.k, name);
  plan.b = layout_of(p.in, p.turn_b ? p.n : p.k, p.turn_b ? p.k : p.n, name);
  plan.c = layout_of(p.out, p.m, p.n, name);
  const Preference preference = preference_for(p, products.workspace_bytes, name);
  cublasLtMatmulHeuristicResult_t found = {};
  int count = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(products.handle.get(), plan.operation.get(), plan.b.get(), plan.a.get(), plan.c.get(),
                                     plan.c.get(), preference.get(), 1, &found, &count);
  const bool none = status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && count == 0);
  if (none && p.bias) {  // 16-bit results with an odd number of columns, for one
    return bias_apart();
  }
  check_products(status, "choosing an algorithm for " + name);
  if (count == 0) {
    throw DeviceError(DeviceProblem::failed, name + ": cuBLASLt has no algorithm for it");
  }
  plan.algorithm = found.algo;
  plan.workspace_bytes = found.workspaceSize;
  return plan;
}

const Plan& plan_for(Products& products, const Problem& p, const void* bias) {
  const auto known = products.plans.find(p);
  if (known != products.plans.end()) {
    return known->second;
  }
  Plan plan = make_plan(products, p, bias);
  if (products.plans.size() >= kMostPlans) {
    products.plans.clear();
  }
  return products.plans.emplace(p, std::move(plan)).first->second;
}

/// c = beta * onto + bias[column]; null or zero-scaled addends are not read.
template <class T>
__global__ void write_added(const T* onto, float beta, const T* bias, T* c, std::int64_t cols, std::int64_t n) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) {
    const float kept = beta == 0.0F ? 0.0F : to_float(onto[i]) * beta;
    c[i] = from_float<T>(bias == nullptr ? kept : kept + to_float(bias[i % cols]));
  }
}

/// The result of a product with k = 0, and the start of one whose bias is added separately.
void put_added(const Added& added, ConstTensorView onto, TensorView c, const Stream& stream) {
  constexpr int kThreads = 256;
  with_float_type(c.dtype, [&]<class T>(T) {
    launch("what is added to a product", write_added<T>, dim3(blocks_for(c.count(), kThreads)), dim3(kThreads), 0, stream,
           floats<T>(onto), added.beta, added.bias.data == nullptr ? nullptr : floats<T>(added.bias), floats<T>(c), c.cols(),
           c.count());
  });
}

}  // namespace

void matmul_cuda(const MatmulArguments& product, const Stream& stream) {
  const ConstTensorView& a = product.a;
  const ConstTensorView& b = product.b;
  const TensorView& c = product.c;
  const Added& added = product.added;
  require(a.shape.rank == 2 && b.shape.rank == 2 && c.shape.rank == 2, "matmul: a, b and c must have two dimensions");
  require(a.dtype == b.dtype, "matmul: a and b must have one dtype");
  require(c.dtype == a.dtype || c.dtype == DType::f32, "matmul: c must have the dtype of a, or f32");
  Problem p;
  p.turn_a = product.op_a == Transpose::yes;
  p.turn_b = product.op_b == Transpose::yes;
  p.m = c.rows();
  p.n = c.cols();
  p.k = p.turn_a ? a.rows() : a.cols();
  require((p.turn_a ? a.cols() : a.rows()) == p.m, "matmul: a does not have the rows of c");
  require((p.turn_b ? b.rows() : b.cols()) == p.n, "matmul: b does not have the columns of c");
  require((p.turn_b ? b.cols() : b.rows()) == p.k, "matmul: a and b disagree about k");
  require_added(added, c);
  if (p.m == 0 || p.n == 0) {
    return;
  }
  const ConstTensorView onto = added.onto.data == nullptr || added.beta == 0.0F ? ConstTensorView(c) : added.onto;
  if (p.k == 0) {
    put_added(added, onto, c, stream);
    return;
  }
  p.reads_c = added.beta != 0.0F;
  p.bias = added.bias.data != nullptr;
  p.in = a.dtype;
  p.out = c.dtype;
  p.align_a = alignment_of(a.data);
  p.align_b = alignment_of(b.data);
  p.align_onto = alignment_of(onto.data);
  p.align_c = alignment_of(c.data);
  p.align_bias = p.bias ? alignment_of(added.bias.data) : 0;
  Products& products = products_of(stream);
  const Plan& plan = plan_for(products, p, added.bias.data);
  if (plan.bias_apart) {
    put_added(added, onto, c, stream);
    MatmulArguments onto_c = product;
    onto_c.added = {.beta = 1.0F};
    matmul_cuda(onto_c, stream);
    return;
  }
  if (p.bias) {  // another layer's
    set(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, added.bias.data, "giving a product its bias");
  }
  const cublasStatus_t status =
      cublasLtMatmul(products.handle.get(), plan.operation.get(), &product.alpha, b.data, plan.b.get(), a.data, plan.a.get(),
                     &added.beta, onto.data, plan.c.get(), c.data, plan.c.get(), &plan.algorithm, products.workspace,
                     plan.workspace_bytes, cuda_context(stream).stream);
  if (status != CUBLAS_STATUS_SUCCESS) {
    check_products(status, described(p));
  }
}

}  // namespace lora_dist
