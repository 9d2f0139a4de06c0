// The CUDA side of attention, forward: cuDNN where it takes the shape, else kernels of our own in f32. A block is a head and a
// tile of one segment's queries; it walks the keys with a running softmax.
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/cudnn_attention.h"

namespace lora_dist {
namespace {

using namespace attention_device;

template <class T>
struct AttentionPointers {
  const T* q;
  const T* k;
  const T* v;
  const std::int32_t* cu_seqlens_q;
  const std::int32_t* cu_seqlens_k;
  T* out;
  float* log_sum_exp;
  std::int64_t queries;
  std::int64_t keys;
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

template <class T>
__device__ Segment attention_segment(const AttentionPointers<T>& a, std::int64_t rows_per_block) {
  return block_segment(a.cu_seqlens_q, a.cu_seqlens_k, a.queries, a.keys, gridDim.x * rows_per_block);
}

template <class T>
__device__ void spoil_attention(const AttentionPointers<T>& a, const Segment& segment) {
  const int head = static_cast<int>(blockIdx.y);
  spoil(segment, a.out, a.q_stride, static_cast<std::int64_t>(head) * a.dim, a.dim);
  spoil(segment, a.log_sum_exp, a.heads, head, 1);
}

// Blocks (tiles, heads, segments).
template <class T, class Shape>
__global__ void attention_tiles(AttentionPointers<T> a) {
  LORA_DIST_DYNAMIC_SHARED(float, shared);
  float* q_tile = shared;                                   // [kRows][kStride]
  float* kv_tile = q_tile + Shape::kRows * Shape::kStride;  // [kCols][kStride], keys and values in turn
  float* scores = kv_tile + Shape::kCols * Shape::kStride;  // [kRows][kScoreStride]
  const Segment segment = attention_segment(a, Shape::kRows);
  if (!segment.sound) {
    spoil_attention(a, segment);
    return;
  }
  // The last tile sees the most keys: it comes first.
  const int first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * Shape::kRows;
  if (first >= segment.queries) {
    return;
  }
  const int rows = lesser(Shape::kRows, segment.queries - first);
  const int head = static_cast<int>(blockIdx.y);
  const int row0 = static_cast<int>(threadIdx.x) / kAcross * kThreadRows;
  const int across = static_cast<int>(threadIdx.x) % kAcross;
  const std::int64_t q_column = static_cast<std::int64_t>(head) * a.dim;
  const std::int64_t kv_column = static_cast<std::int64_t>(head / a.group) * a.dim;
  load_tile<Shape, Shape::kRows>(Panel<T>{a.q + q_column, a.q_stride, a.dim, a.packs}, segment.query + first, rows, q_tile);

  Sums<Shape> sums;
  sums.clear();
  float top[kThreadRows];
  float total[kThreadRows];
  for (int i = 0; i < kThreadRows; ++i) {
    top[i] = -INFINITY;
    total[i] = 0.0F;
  }
  const int first_key = segment.first_visible(first, a.window);
  const int keys = segment.visible(first + rows - 1);
  for (int key = first_key; key < keys; key += Shape::kCols) {
    const int cols = lesser(Shape::kCols, keys - key);
    __syncthreads();  // the values of the last tile have been read
    load_tile<Shape, Shape::kCols>(Panel<T>{a.k + kv_column, a.kv_stride, a.dim, a.packs}, segment.key + key, cols, kv_tile);
    __syncthreads();
    float score[kThreadRows][Shape::kThreadCols];
    multiply_rows<Shape>(q_tile, kv_tile, a.dim, score);
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i) {
      const int end = segment.visible(first + row0 + i) - key;
      const int begin = segment.first_visible(first + row0 + i, a.window) - key;
      float largest = -INFINITY;
#pragma unroll
      for (int j = 0; j < Shape::kThreadCols; ++j) {
        const int column = across + j * kAcross;
        score[i][j] = column >= begin && column < end ? capped_score(score[i][j] * a.scale, a.soft_cap) : -INFINITY;
        largest = fmaxf(largest, score[i][j]);
      }
      const float new_top = fmaxf(top[i], row_max(largest));
      const float base = new_top == -INFINITY ? 0.0F : new_top;  // a row that the window still keeps from every key so far
      const float shrink = key == first_key ? 0.0F : expf(top[i] - base);
      float part = 0.0F;
#pragma unroll
      for (int j = 0; j < Shape::kThreadCols; ++j) {
        const float p = expf(score[i][j] - base);
        scores[(row0 + i) * Shape::kScoreStride + across + j * kAcross] = p;
        part += p;
      }
      total[i] = total[i] * shrink + row_sum(part);
      top[i] = new_top;
      sums.multiply_row(i, shrink);
    }
    __syncthreads();  // the keys have been read
    load_tile<Shape, Shape::kCols>(Panel<T>{a.v + kv_column, a.kv_stride, a.dim, a.packs}, segment.key + key, cols, kv_tile);
    __syncthreads();
    sums.add_product(scores, kv_tile, cols);
  }
#pragma unroll
  for (int i = 0; i < kThreadRows; ++i) {
    sums.multiply_row(i, 1.0F / total[i]);
    if (across == 0 && row0 + i < rows) {
      a.log_sum_exp[(segment.query + first + row0 + i) * a.heads + head] = top[i] + logf(total[i]);
    }
  }
  sums.store(a.out + q_column, a.q_stride, segment.query + first, rows, a.dim);
}

constexpr int kRowWarps = 8;
constexpr int kLaneDims = 8;  // 256 dimensions over 32 lanes

// Blocks (queries, heads, segments): generation's one query against a cache. Warps take keys in turn; each has a softmax of its
// own, and the eight are joined in order.
template <class T>
__global__ void attention_single_rows(AttentionPointers<T> a) {
  __shared__ float warp_top[kRowWarps];
  __shared__ float warp_total[kRowWarps];
  __shared__ float warp_sums[kRowWarps][kLaneDims * kWarp];
  const Segment segment = attention_segment(a, 1);
  if (!segment.sound) {
    spoil_attention(a, segment);
    return;
  }
  const int query = static_cast<int>(blockIdx.x);
  if (query >= segment.queries) {
    return;
  }
  const int head = static_cast<int>(blockIdx.y);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t q_column = (segment.query + query) * a.q_stride + static_cast<std::int64_t>(head) * a.dim;
  const std::int64_t kv_column = segment.key * a.kv_stride + static_cast<std::int64_t>(head / a.group) * a.dim;
  float q[kLaneDims];
  float sum[kLaneDims] = {};
#pragma unroll
  for (int i = 0; i < kLaneDims; ++i) {
    q[i] = lane + i * kWarp < a.dim ? to_float(a.q[q_column + lane + i * kWarp]) * a.scale : 0.0F;
  }
  float top = -INFINITY;
  float total = 0.0F;
  const int keys = segment.visible(query);
  for (int key = segment.first_visible(query, a.window) + warp; key < keys; key += kRowWarps) {
    const std::int64_t row = kv_column + key * a.kv_stride;
    float score = 0.0F;
#pragma unroll
    for (int i = 0; i < kLaneDims; ++i) {
      if (lane + i * kWarp < a.dim) {
        score = fmaf(q[i], to_float(a.k[row + lane + i * kWarp]), score);
      }
    }
    score = capped_score(warp_sum(score), a.soft_cap);
    const float new_top = fmaxf(top, score);
    const float shrink = expf(top - new_top);
    const float p = expf(score - new_top);
    total = total * shrink + p;
    top = new_top;
#pragma unroll
    for (int i = 0; i < kLaneDims; ++i) {
      if (lane + i * kWarp < a.dim) {
        sum[i] = fmaf(p, to_float(a.v[row + lane + i * kWarp]), sum[i] * shrink);
      }
    }
  }
  if (lane == 0) {
    warp_top[warp] = top;
    warp_total[warp] = total;
  }
#pragma unroll
  for (int i = 0; i < kLaneDims; ++i) {
    warp_sums[warp][lane + i * kWarp] = sum[i];
  }
  __syncthreads();
  float all_top = warp_top[0];
  for (int w = 1; w < kRowWarps; ++w) {
    all_top = fmaxf(all_top, warp_top[w]);
  }
  float all_total = 0.0F;
  float joined = 0.0F;  // of dimension threadIdx.x
  for (int w = 0; w < kRowWarps; ++w) {
    const float share = expf(warp_top[w] - all_top);  // 0 for a warp without keys
    all_total += warp_total[w] * share;
    joined += warp_sums[w][threadIdx.x] * share;
  }
  if (static_cast<int>(threadIdx.x) < a.dim) {
    a.out[q_column + threadIdx.x] = from_float<T>(joined / all_total);
  }
  if (threadIdx.x == 0) {
    a.log_sum_exp[(segment.query + query) * a.heads + head] = all_top + logf(all_total);
  }
}

template <class T>
void attend(const AttentionPointers<T>& a, std::int64_t longest, std::int64_t segments, const Stream& stream) {
  constexpr std::int64_t kFewQueries = 8;
  const auto heads = static_cast<unsigned>(a.heads);
  const auto count = static_cast<unsigned>(segments);
  if (longest <= kFewQueries) {
    static_assert(kLaneDims * kWarp == kRowWarps * kWarp, "a thread joins one dimension");
    launch("attention_single_rows", attention_single_rows<T>, dim3(static_cast<unsigned>(longest), heads, count),
           dim3(kRowWarps * kWarp), 0, stream, a);
    return;
  }
  const auto work = [&]<class Shape>(Shape) {
    constexpr std::size_t kBytes =
        sizeof(float) * ((Shape::kRows + Shape::kCols) * Shape::kStride + Shape::kRows * Shape::kScoreStride);
    allow_shared(attention_tiles<T, Shape>, kBytes);
    launch("attention_tiles", attention_tiles<T, Shape>, dim3(blocks_for(longest, Shape::kRows), heads, count),
           dim3(Shape::kThreads), kBytes, stream, a);
  };
  has_little_shared(stream) ? with_block<Block<64, 64, 32>, Block<128, 64, 32>, Block<256, 16, 32>>(a.dim, work)
                            : with_block<Block<64, 64, 32>, Block<128, 64, 32>, Block<256, 32, 32>>(a.dim, work);
}

}  // namespace

void attention_cuda(const AttentionArguments& a, const Stream& stream) {
  check_attention(a);
  check_views(a.q, a.k, a.v, a.shape);
  check_starts(a.cu_seqlens_q);
  check_starts(a.cu_seqlens_k);
  const std::int64_t segments = a.cu_seqlens_q.count() - 1;
  if (a.q.rows() == 0 || segments == 0) {
    return;
  }
  if (cudnn_attention(a, stream)) {
    return;
  }
  with_float_type(a.q.dtype, [&]<class T>(T) {
    AttentionPointers<T> p = {};
    p.q = floats<T>(a.q);
    p.k = floats<T>(a.k);
    p.v = floats<T>(a.v);
    p.cu_seqlens_q = a.cu_seqlens_q.as<std::int32_t>();
    p.cu_seqlens_k = a.cu_seqlens_k.as<std::int32_t>();
    p.out = floats<T>(a.out);
    p.log_sum_exp = a.log_sum_exp.as<float>();
    p.queries = a.q.rows();
    p.keys = a.k.rows();
    p.q_stride = a.q.cols();
    p.kv_stride = a.k.cols();
    p.heads = a.shape.heads;
    p.group = a.shape.heads / a.shape.kv_heads;
    p.dim = a.shape.head_dim;
    p.scale = a.shape.scale;
    p.soft_cap = a.shape.soft_cap;
    p.window = a.shape.window;
    p.packs = fits_packs(a.shape.head_dim, p.q, p.k, p.v);
    attend(p, longest_segment(a.shape, a.q.rows()), segments, stream);
  });
}

}  // namespace lora_dist
