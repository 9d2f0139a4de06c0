// The emulated cuBLASLt: products in plain loops with checked operands.
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/common/half.h"
#include "tests/cuda_emulation/cublas_lt_descriptors.h"
#include "tests/cuda_emulation/emulator.h"

namespace {

using namespace lora_dist::emulation;

// The algorithm returned by the heuristic; cublasLtMatmul accepts no other.
constexpr std::uint64_t kAlgorithm = 0x656d756c61746564;
constexpr std::size_t kWorkspace = 1024;  // detects a caller without workspace

std::size_t size_of_type(cudaDataType_t type) { return type == CUDA_R_32F ? 4 : 2; }
bool known(cudaDataType_t type) { return type == CUDA_R_32F || type == CUDA_R_16F || type == CUDA_R_16BF; }

bool well_formed(const cublasLtMatrixLayoutOpaque_t& m) {
  const std::uint64_t length = m.order == CUBLASLT_ORDER_COL ? m.rows : m.cols;
  return known(m.type) && m.rows > 0 && m.cols > 0 && m.ld >= 0 && static_cast<std::uint64_t>(m.ld) >= length;
}

std::size_t bytes_of(const cublasLtMatrixLayoutOpaque_t& m) {
  const bool columns = m.order == CUBLASLT_ORDER_COL;
  const std::uint64_t lines = columns ? m.cols : m.rows;
  return ((lines - 1) * static_cast<std::uint64_t>(m.ld) + (columns ? m.rows : m.cols)) * size_of_type(m.type);
}

std::size_t place_in(const cublasLtMatrixLayoutOpaque_t& m, std::size_t row, std::size_t col) {
  const auto ld = static_cast<std::size_t>(m.ld);
  return m.order == CUBLASLT_ORDER_COL ? col * ld + row : row * ld + col;
}

float read(cudaDataType_t type, const void* data, std::size_t i) {
  if (type == CUDA_R_32F) {
    return static_cast<const float*>(data)[i];
  }
  const std::uint16_t bits = static_cast<const std::uint16_t*>(data)[i];
  return type == CUDA_R_16F ? lora_dist::float_of_f16(bits) : lora_dist::float_of_bf16(bits);
}

void write(cudaDataType_t type, void* data, std::size_t i, float value) {
  if (type == CUDA_R_32F) {
    static_cast<float*>(data)[i] = value;
  } else {
    static_cast<std::uint16_t*>(data)[i] = type == CUDA_R_16F ? lora_dist::f16_of_float(value) : lora_dist::bf16_of_float(value);
  }
}

std::uint64_t alignment_of(const void* data) {
  const auto bits = reinterpret_cast<std::uintptr_t>(data) | 256U;
  return bits & (~bits + 1U);
}

struct Product {
  cublasLtMatmulDescOpaque_t operation;
  cublasLtMatrixLayoutOpaque_t a, b, c, d;
  const void* a_data;
  const void* b_data;
  const void* c_data;
  void* d_data;
  float alpha;
  float beta;

  std::size_t m() const { return operation.a == CUBLAS_OP_N ? a.rows : a.cols; }
  std::size_t n() const { return operation.b == CUBLAS_OP_N ? b.cols : b.rows; }
  std::size_t k() const { return operation.a == CUBLAS_OP_N ? a.cols : a.rows; }
};

// The real one has no algorithm that adds a bias to 16-bit columns of odd length, and its kernels may read 16 bytes of a bias at
// once.
constexpr std::uint64_t kLeastBiasAlign = 16;
bool adds_bias(const Product& p) { return p.operation.epilogue == CUBLASLT_EPILOGUE_BIAS; }
cudaDataType_t bias_type_of(const Product& p) {
  return p.operation.bias_type < 0 ? p.d.type : static_cast<cudaDataType_t>(p.operation.bias_type);
}
bool has_algorithm(const Product& p) {
  return !adds_bias(p) || ((p.d.type == CUDA_R_32F || p.m() % 2 == 0) && alignment_of(p.operation.bias) >= kLeastBiasAlign);
}

bool fits(const Product& p) {
  return well_formed(p.a) && well_formed(p.b) && well_formed(p.c) && well_formed(p.d) &&
         p.k() == (p.operation.b == CUBLAS_OP_N ? p.b.rows : p.b.cols) && p.d.rows == p.m() && p.d.cols == p.n() &&
         p.c.rows == p.m() && p.c.cols == p.n() && p.c.type == p.d.type && p.a.type == p.b.type &&
         (p.d.type == p.a.type || p.d.type == CUDA_R_32F);
}

// op(matrix) as lines of k floats, so that the innermost loop is over neighbours.
std::vector<float> lines(const cublasLtMatrixLayoutOpaque_t& m, const void* data, bool row_by_row) {
  std::vector<float> out(m.rows * m.cols);
  const std::size_t outer = row_by_row ? m.rows : m.cols;
  const std::size_t inner = row_by_row ? m.cols : m.rows;
  for (std::size_t i = 0; i < outer; ++i) {
    for (std::size_t j = 0; j < inner; ++j) {
      out[i * inner + j] = read(m.type, data, row_by_row ? place_in(m, i, j) : place_in(m, j, i));
    }
  }
  return out;
}

void multiply(const Product& p) {
  const std::vector<float> a = lines(p.a, p.a_data, p.operation.a == CUBLAS_OP_N);
  const std::vector<float> b = lines(p.b, p.b_data, p.operation.b != CUBLAS_OP_N);
  const cudaDataType_t bias_type = bias_type_of(p);
  const std::size_t k = p.k();
  for (std::size_t col = 0; col < p.n(); ++col) {
    for (std::size_t row = 0; row < p.m(); ++row) {
      double sum = 0.0;
      for (std::size_t i = 0; i < k; ++i) {
        sum += static_cast<double>(a[row * k + i]) * b[col * k + i];
      }
      double value = p.alpha * sum;
      if (p.beta != 0.0F) {  // C is not read otherwise: it may hold NaN
        value += static_cast<double>(p.beta) * read(p.c.type, p.c_data, place_in(p.c, row, col));
      }
      if (adds_bias(p)) {
        value += read(bias_type, p.operation.bias, row);
      }
      write(p.d.type, p.d_data, place_in(p.d, row, col), static_cast<float>(value));
    }
  }
}

bool on_device(const void* data, std::size_t bytes, cudaStream_t stream) {
  const Place place = place_of(data, bytes);
  const bool is = place.memory == Memory::device && place.device == device_of(stream) && place.whole;
  if (!is) {
    std::fprintf(stderr, "emulated CUDA: a product was given %p, where its device has no %zu bytes\n", data, bytes);
  }
  return is;
}

}  // namespace

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t /*handle*/, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference, int asked,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
  *found = 0;
  const Product p{*operation, *a, *b, *c, *d, nullptr, nullptr, nullptr, nullptr, 1.0F, 0.0F};
  if (asked < 1 || !fits(p)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (!has_algorithm(p)) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  *found = 1;
  results[0] = {};
  // Stores the promised alignments, including the bias's, for checks against the addresses.
  results[0].algo.data[0] = kAlgorithm;
  for (int i = 0; i < 4; ++i) {
    results[0].algo.data[1 + i] = preference->alignment[i];
  }
  results[0].algo.data[5] = adds_bias(p) ? alignment_of(operation->bias) : 1;
  results[0].workspaceSize = preference->most_workspace < kWorkspace ? preference->most_workspace : kWorkspace;
  results[0].algo.data[6] = results[0].workspaceSize;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, std::size_t workspace_bytes,
                              cudaStream_t stream) {
  const std::lock_guard lock(lock_of_devices());
  if (handle == nullptr || handle->device != current_device() || handle->device != device_of(stream)) {
    return CUBLAS_STATUS_NOT_INITIALIZED;
  }
  static std::int64_t products = 0;
  const std::int64_t full_at = setting("LORA_DIST_EMULATED_PRODUCTS_FULL_AT", 0);
  if (++products >= full_at && full_at > 0) {
    return CUBLAS_STATUS_ALLOC_FAILED;
  }
  Product p{*operation, *a_layout, *b_layout, *c_layout, *d_layout, a, b, c, d, 0.0F, 0.0F};
  std::memcpy(&p.alpha, alpha, sizeof(float));
  std::memcpy(&p.beta, beta, sizeof(float));
  if (!fits(p) || !on_device(a, bytes_of(p.a), stream) || !on_device(b, bytes_of(p.b), stream) ||
      (p.beta != 0.0F && !on_device(c, bytes_of(p.c), stream)) || !on_device(d, bytes_of(p.d), stream) ||
      (adds_bias(p) && !on_device(operation->bias, p.m() * size_of_type(bias_type_of(p)), stream))) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (algorithm != nullptr) {
    const void* const addresses[] = {a, b, p.beta != 0.0F ? c : d, d, adds_bias(p) ? operation->bias : nullptr};
    for (int i = 0; i < 5; ++i) {
      if (algorithm->data[0] != kAlgorithm || reinterpret_cast<std::uintptr_t>(addresses[i]) % algorithm->data[1 + i] != 0) {
        std::fprintf(stderr, "emulated CUDA: a product was given an address less aligned than its algorithm was chosen for\n");
        return CUBLAS_STATUS_INVALID_VALUE;
      }
    }
    if (workspace_bytes < algorithm->data[6] || (workspace_bytes > 0 && !on_device(workspace, workspace_bytes, stream))) {
      return CUBLAS_STATUS_INVALID_VALUE;
    }
  }
  const cudaError_t status = enqueue(stream, [p] {
    const OpenMemory open;
    multiply(p);
    return cudaSuccess;
  });
  return status == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
