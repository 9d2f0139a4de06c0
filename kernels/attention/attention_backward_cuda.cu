// The CUDA side of attention, backward: cuDNN where it takes the shape, else kernels of our own in f32. Probabilities are
// computed again from log_sum_exp, once per tile of queries for dq and once per tile of keys for dk and dv, so that each sum
// belongs to one block and has a fixed order.
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/cudnn_attention.h"

namespace lora_dist {
namespace {

using namespace attention_device;

template <class T>
struct GradientPointers {
  const T* dout;
  const T* q;
  const T* k;
  const T* v;
  const T* out;
  const float* log_sum_exp;
  const std::int32_t* starts;
  float* delta;  // [tokens, heads]: the sums of dout * out
  T* dq;
  T* dk;
  T* dv;
  std::int64_t tokens;
  std::int64_t q_stride;
  std::int64_t kv_stride;
  int heads;
  int group;  // heads per kv head
  int dim;
  float scale;
  float soft_cap;
  int window;
  bool packs;
};

// A warp has one token's head.
template <class T>
__global__ void attention_deltas(GradientPointers<T> a) {
  const std::int64_t row = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const bool holds = row < a.tokens * a.heads;
  float sum = 0.0F;
  for (int d = lane; holds && d < a.dim; d += kWarp) {
    sum = fmaf(to_float(a.dout[row * a.dim + d]), to_float(a.out[row * a.dim + d]), sum);
  }
  sum = warp_sum(sum);
  if (holds && lane == 0) {
    a.delta[row] = sum;
  }
}

template <class T>
__device__ Segment gradient_segment(const GradientPointers<T>& a, std::int64_t rows_per_block) {
  return block_segment(a.starts, a.starts, a.tokens, a.tokens, gridDim.x * rows_per_block);
}

// Blocks (tiles of queries, heads, segments): rows are queries, columns keys.
template <class T, class Shape>
__global__ void attention_query_gradients(GradientPointers<T> a) {
  LORA_DIST_DYNAMIC_SHARED(float, shared);
  float* q_tile = shared;                                     // [kRows][kStride]
  float* dout_tile = q_tile + Shape::kRows * Shape::kStride;  // [kRows][kStride]
  float* k_tile = dout_tile + Shape::kRows * Shape::kStride;  // [kCols][kStride]
  float* v_tile = k_tile + Shape::kCols * Shape::kStride;     // [kCols][kStride]
  float* gradients = v_tile + Shape::kCols * Shape::kStride;  // [kRows][kScoreStride], of the scores
  const Segment segment = gradient_segment(a, Shape::kRows);
  const int head = static_cast<int>(blockIdx.y);
  const std::int64_t q_column = static_cast<std::int64_t>(head) * a.dim;
  const std::int64_t kv_column = static_cast<std::int64_t>(head / a.group) * a.dim;
  if (!segment.sound) {
    spoil(segment, a.dq, a.q_stride, q_column, a.dim);
    return;
  }
  const int first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * Shape::kRows;  // the last tile sees the most keys
  if (first >= segment.queries) {
    return;
  }
  const int rows = lesser(Shape::kRows, segment.queries - first);
  const int row0 = static_cast<int>(threadIdx.x) / kAcross * kThreadRows;
  const int across = static_cast<int>(threadIdx.x) % kAcross;
  const std::int64_t query = segment.query + first;
  load_tile<Shape, Shape::kRows>(Panel<T>{a.q + q_column, a.q_stride, a.dim, a.packs}, query, rows, q_tile);
  load_tile<Shape, Shape::kRows>(Panel<T>{a.dout + q_column, a.q_stride, a.dim, a.packs}, query, rows, dout_tile);
  float log_sum[kThreadRows] = {};
  float delta[kThreadRows] = {};
  for (int i = 0; i < kThreadRows; ++i) {
    if (row0 + i < rows) {
      log_sum[i] = a.log_sum_exp[(query + row0 + i) * a.heads + head];
      delta[i] = a.delta[(query + row0 + i) * a.heads + head];
    }
  }
  Sums<Shape> dq;
  dq.clear();
  const int keys = segment.visible(first + rows - 1);
  for (int key = segment.first_visible(first, a.window); key < keys; key += Shape::kCols) {
    const int cols = lesser(Shape::kCols, keys - key);
    __syncthreads();  // the last tile has been read
    load_tile<Shape, Shape::kCols>(Panel<T>{a.k + kv_column, a.kv_stride, a.dim, a.packs}, segment.key + key, cols, k_tile);
    load_tile<Shape, Shape::kCols>(Panel<T>{a.v + kv_column, a.kv_stride, a.dim, a.packs}, segment.key + key, cols, v_tile);
    __syncthreads();
    float score[kThreadRows][Shape::kThreadCols];
    float gradient[kThreadRows][Shape::kThreadCols];
    multiply_rows<Shape>(q_tile, k_tile, a.dim, score);
    multiply_rows<Shape>(dout_tile, v_tile, a.dim, gradient);
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i) {
      const int end = segment.visible(first + row0 + i) - key;
      const int begin = segment.first_visible(first + row0 + i, a.window) - key;
#pragma unroll
      for (int j = 0; j < Shape::kThreadCols; ++j) {
        const int column = across + j * kAcross;
        const bool seen = column >= begin && column < end;
        const float capped = capped_score(score[i][j] * a.scale, a.soft_cap);
        const float p = seen ? expf(capped - log_sum[i]) : 0.0F;
        const float slope = a.scale * score_slope(capped, a.soft_cap);
        gradients[(row0 + i) * Shape::kScoreStride + column] = seen ? p * (gradient[i][j] - delta[i]) * slope : 0.0F;
      }
    }
    __syncwarp();  // the rows are those of the warp itself
    dq.add_product(gradients, k_tile, cols);
  }
  dq.store(a.dq + q_column, a.q_stride, query, rows, a.dim);
}

// Blocks (tiles of keys, kv heads, segments): rows are keys, columns queries. The group's heads one after another.
template <class T, class Shape>
__global__ void attention_key_gradients(GradientPointers<T> a) {
  LORA_DIST_DYNAMIC_SHARED(float, shared);
  float* k_tile = shared;                                                 // [kRows][kStride]
  float* v_tile = k_tile + Shape::kRows * Shape::kStride;                 // [kRows][kStride]
  float* q_tile = v_tile + Shape::kRows * Shape::kStride;                 // [kCols][kStride]
  float* dout_tile = q_tile + Shape::kCols * Shape::kStride;              // [kCols][kStride]
  float* gradients = dout_tile + Shape::kCols * Shape::kStride;           // [kRows][kScoreStride], of the scores
  float* probabilities = gradients + Shape::kRows * Shape::kScoreStride;  // [kRows][kScoreStride]
  const Segment segment = gradient_segment(a, Shape::kRows);
  const int kv_head = static_cast<int>(blockIdx.y);
  const std::int64_t kv_column = static_cast<std::int64_t>(kv_head) * a.dim;
  if (!segment.sound) {
    spoil(segment, a.dk, a.kv_stride, kv_column, a.dim);
    spoil(segment, a.dv, a.kv_stride, kv_column, a.dim);
    return;
  }
  const int first = static_cast<int>(blockIdx.x) * Shape::kRows;
  if (first >= segment.keys) {
    return;
  }
  const int rows = lesser(Shape::kRows, segment.keys - first);
  const int row0 = static_cast<int>(threadIdx.x) / kAcross * kThreadRows;
  const int across = static_cast<int>(threadIdx.x) % kAcross;
  load_tile<Shape, Shape::kRows>(Panel<T>{a.k + kv_column, a.kv_stride, a.dim, a.packs}, segment.key + first, rows, k_tile);
  load_tile<Shape, Shape::kRows>(Panel<T>{a.v + kv_column, a.kv_stride, a.dim, a.packs}, segment.key + first, rows, v_tile);
  Sums<Shape> dk;
  Sums<Shape> dv;
  dk.clear();
  dv.clear();
  // Earlier queries do not attend to these keys; the window ends `last` at the last key's last query.
  const int beyond = segment.queries - (first + rows);
  const int last = a.window > 0 && a.window - 1 < beyond ? first + rows + a.window - 1 : segment.queries;
  for (int head = kv_head * a.group; head < (kv_head + 1) * a.group; ++head) {
    const std::int64_t q_column = static_cast<std::int64_t>(head) * a.dim;
    for (int at = first; at < last; at += Shape::kCols) {
      const int cols = lesser(Shape::kCols, last - at);
      const std::int64_t query = segment.query + at;
      __syncthreads();  // the last tile has been read
      load_tile<Shape, Shape::kCols>(Panel<T>{a.q + q_column, a.q_stride, a.dim, a.packs}, query, cols, q_tile);
      load_tile<Shape, Shape::kCols>(Panel<T>{a.dout + q_column, a.q_stride, a.dim, a.packs}, query, cols, dout_tile);
      __syncthreads();
      float score[kThreadRows][Shape::kThreadCols];
      float gradient[kThreadRows][Shape::kThreadCols];
      multiply_rows<Shape>(k_tile, q_tile, a.dim, score);
      multiply_rows<Shape>(v_tile, dout_tile, a.dim, gradient);
#pragma unroll
      for (int j = 0; j < Shape::kThreadCols; ++j) {
        const int column = across + j * kAcross;
        const bool exists = column < cols;
        const float log_sum = exists ? a.log_sum_exp[(query + column) * a.heads + head] : 0.0F;
        const float delta = exists ? a.delta[(query + column) * a.heads + head] : 0.0F;
#pragma unroll
        for (int i = 0; i < kThreadRows; ++i) {
          const int back = at + column - (first + row0 + i);  // from the query to the key
          const bool seen = exists && back >= 0 && (a.window == 0 || back < a.window);
          const float capped = capped_score(score[i][j] * a.scale, a.soft_cap);
          const float p = seen ? expf(capped - log_sum) : 0.0F;
          const float slope = a.scale * score_slope(capped, a.soft_cap);
          const int index = (row0 + i) * Shape::kScoreStride + column;
          probabilities[index] = p;
          gradients[index] = seen ? p * (gradient[i][j] - delta) * slope : 0.0F;
        }
      }
      __syncwarp();  // the rows are those of the warp itself
      dv.add_product(probabilities, dout_tile, cols);
      dk.add_product(gradients, q_tile, cols);
    }
  }
  dk.store(a.dk + kv_column, a.kv_stride, segment.key + first, rows, a.dim);
  dv.store(a.dv + kv_column, a.kv_stride, segment.key + first, rows, a.dim);
}

template <class T>
void attend_backward(const GradientPointers<T>& a, std::int64_t longest, std::int64_t segments, int kv_heads,
                     const Stream& stream) {
  constexpr int kThreads = 256;
  launch("attention_deltas", attention_deltas<T>, dim3(blocks_for(a.tokens * a.heads, kThreads / kWarp)), dim3(kThreads), 0,
         stream, a);
  const auto work = [&]<class Shape>(Shape) {
    constexpr std::size_t kTileFloats = 2 * (Shape::kRows + Shape::kCols) * Shape::kStride;
    constexpr std::size_t kScoreFloats = Shape::kRows * Shape::kScoreStride;
    constexpr std::size_t kQueryBytes = sizeof(float) * (kTileFloats + kScoreFloats);
    constexpr std::size_t kKeyBytes = sizeof(float) * (kTileFloats + 2 * kScoreFloats);
    const auto count = static_cast<unsigned>(segments);
    const unsigned tiles = blocks_for(longest, Shape::kRows);
    allow_shared(attention_query_gradients<T, Shape>, kQueryBytes);
    launch("attention_query_gradients", attention_query_gradients<T, Shape>, dim3(tiles, static_cast<unsigned>(a.heads), count),
           dim3(Shape::kThreads), kQueryBytes, stream, a);
    allow_shared(attention_key_gradients<T, Shape>, kKeyBytes);
    launch("attention_key_gradients", attention_key_gradients<T, Shape>, dim3(tiles, static_cast<unsigned>(kv_heads), count),
           dim3(Shape::kThreads), kKeyBytes, stream, a);
  };
  has_little_shared(stream) ? with_block<Block<64, 32, 32>, Block<128, 32, 16>, Block<256, 8, 16>>(a.dim, work)
                            : with_block<Block<64, 32, 32>, Block<128, 32, 32>, Block<256, 16, 16>>(a.dim, work);
}

}  // namespace

void attention_backward_cuda(const AttentionBackwardArguments& a, const Stream& stream) {
  check_attention_backward(a);
  check_views(a.q, a.k, a.v, a.shape);
  check_starts(a.starts);
  const std::int64_t segments = a.starts.count() - 1;
  if (a.q.rows() == 0 || segments == 0) {
    return;
  }
  if (cudnn_attention_backward(a, stream)) {
    return;
  }
  with_float_type(a.q.dtype, [&]<class T>(T) {
    GradientPointers<T> p = {};
    p.dout = floats<T>(a.dout);
    p.q = floats<T>(a.q);
    p.k = floats<T>(a.k);
    p.v = floats<T>(a.v);
    p.out = floats<T>(a.out);
    p.log_sum_exp = a.log_sum_exp.as<float>();
    p.starts = a.starts.as<std::int32_t>();
    p.tokens = a.q.rows();
    p.heads = a.shape.heads;
    p.delta = static_cast<float*>(operator_scratch(stream, static_cast<std::size_t>(p.tokens * p.heads) * sizeof(float)));
    p.dq = floats<T>(a.dq);
    p.dk = floats<T>(a.dk);
    p.dv = floats<T>(a.dv);
    p.q_stride = a.q.cols();
    p.kv_stride = a.k.cols();
    p.group = a.shape.heads / a.shape.kv_heads;
    p.dim = a.shape.head_dim;
    p.scale = a.shape.scale;
    p.soft_cap = a.shape.soft_cap;
    p.window = a.shape.window;
    p.packs = fits_packs(a.shape.head_dim, p.q, p.k, p.v) && fits_packs(a.shape.head_dim, p.dout);
    attend_backward(p, longest_segment(a.shape, p.tokens), segments, a.shape.kv_heads, stream);
  });
}

}  // namespace lora_dist
