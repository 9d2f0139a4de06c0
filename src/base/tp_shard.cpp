// Divides heads, features and vocabulary among TP ranks, and finds a shard's rows or columns of each matrix.
#include "src/base/tp_shard.h"

#include <fmt/format.h>

#include "src/core/error.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

// Shards of a wide enough MLP end at multiples of the default quantization block, so that their rows contain whole blocks.
constexpr std::int64_t kCutAlign = 64;
constexpr std::int64_t kWideEnough = 16 * kCutAlign;

IndexRange range_of(std::int64_t n, int rank, int ranks, std::int64_t align = 1) {
  const auto cut = [&](std::int64_t i) { return i == ranks ? n : n * i / ranks / align * align; };
  return {cut(rank), cut(rank + 1)};
}

/// Ranks take whole kv heads with their query heads; with more ranks than kv heads, several ranks divide the query heads of one
/// kv head. So a rank's kv heads all have equally many query heads.
void cut_heads(const ModelSpec& whole, TpShard& shard) {
  const std::int64_t group = whole.heads / whole.kv_heads;
  if (shard.ranks <= whole.kv_heads) {
    shard.kv_heads = range_of(whole.kv_heads, shard.rank, shard.ranks);
    shard.heads = {shard.kv_heads.begin * group, shard.kv_heads.end * group};
    return;
  }
  const auto first_rank_of = [&](std::int64_t kv) {  // the first rank whose kv heads begin at or after kv
    return static_cast<int>((kv * shard.ranks + whole.kv_heads - 1) / whole.kv_heads);
  };
  const std::int64_t kv = shard.rank * whole.kv_heads / shard.ranks;
  const int first = first_rank_of(kv);
  const IndexRange of_group = range_of(group, shard.rank - first, first_rank_of(kv + 1) - first);
  shard.kv_heads = {kv, kv + 1};
  shard.first_of_kv_heads = of_group.begin == 0;
  shard.heads = {kv * group + of_group.begin, kv * group + of_group.end};
}

/// A linear's shard: a range of rows (outputs) or of columns (inputs).
struct LinearCut {
  bool by_rows = true;
  StridedSlice units;  // the rows or columns
};

/// The rows of a rank's heads in all of q, then k, then v. With fewer key heads than query heads, q's rows are as many runs as
/// wide as k's.
StridedSlice slices_of_qkv(const ModelSpec& whole, const TpShard& shard) {
  const std::int64_t d = whole.head_dim;
  if (whole.kv_heads == whole.heads) {
    return {3, shard.heads.size() * d, shard.heads.begin * d, whole.heads * d};
  }
  const std::int64_t runs = shard.heads.size() / shard.kv_heads.size();
  return {.rows = runs + 2,
          .width = shard.kv_heads.size() * d,
          .start = (whole.heads + shard.kv_heads.begin) * d,
          .stride = whole.kv_heads * d,
          .lead = runs,
          .lead_start = shard.heads.begin * d};
}

LinearCut cut_of(const ModelSpec& whole, const TpShard& shard, Linear linear) {
  const std::int64_t d = whole.head_dim;
  const auto one = [](const IndexRange& range, std::int64_t width) {
    return StridedSlice{1, range.size() * width, range.begin * width, 0};
  };
  switch (linear) {
    case Linear::q:
      return {true, one(shard.heads, d)};
    case Linear::k:
    case Linear::v:
      return {true, one(shard.kv_heads, d)};
    case Linear::qkv:
      return whole.fused_qkv == FusedQkv::per_head ? LinearCut{true, one(shard.heads, 3 * d)}
                                                   : LinearCut{true, slices_of_qkv(whole, shard)};
    case Linear::o:
      return {false, one(shard.heads, d)};
    case Linear::gate:
    case Linear::up:
      return {true, one(shard.intermediate, 1)};
    case Linear::gate_up:
      return {true, {2, shard.intermediate.size(), shard.intermediate.begin, whole.intermediate}};
    case Linear::down:
      return {false, one(shard.intermediate, 1)};
  }
  return {};
}

/// The slice with each unit widened to `width` elements.
StridedSlice times(const StridedSlice& units, std::int64_t width) {
  return {units.rows, units.width * width, units.start * width, units.stride * width, units.lead, units.lead_start * width};
}

/// A range of columns of every row.
StridedSlice columns(const StridedSlice& units, std::int64_t rows, std::int64_t cols) {
  return {rows, units.width, units.start, cols};
}

StridedSlice all_of(std::int64_t elements) { return {1, elements, 0, 0}; }

void refuse_ranks(int ranks, const char* what, std::int64_t there, int world) {
  std::string message = fmt::format("parallel.tensor = {}, but this model has {} {}: at most {} ranks can share a layer", ranks,
                                    there, what, there);
  if (world > 0) {
    int works = 1;
    for (int i = 1; i <= there; ++i) {
      works = world % i == 0 ? i : works;
    }
    message += fmt::format("; of {} ranks, parallel.tensor = {} is the nearest that works", world, works);
  }
  throw Error(ExitCode::usage, message);
}

}  // namespace

TpShard tp_shard(const ModelSpec& whole, int rank, int ranks, int world) {
  if (ranks > whole.heads) {
    refuse_ranks(ranks, "attention heads", whole.heads, world);
  }
  if (ranks > whole.intermediate) {
    refuse_ranks(ranks, "intermediate features", whole.intermediate, world);
  }
  if (ranks > whole.vocab) {
    refuse_ranks(ranks, "token ids", whole.vocab, world);
  }
  TpShard shard;
  shard.rank = rank;
  shard.ranks = ranks;
  shard.whole_vocab = whole.vocab;
  shard.whole_heads = whole.heads;
  shard.whole_kv_heads = whole.kv_heads;
  cut_heads(whole, shard);
  shard.intermediate = range_of(whole.intermediate, rank, ranks, whole.intermediate >= kWideEnough * ranks ? kCutAlign : 1);
  shard.vocab = range_of(whole.vocab, rank, ranks);
  shard.widest_vocab = (whole.vocab + ranks - 1) / ranks;
  return shard;
}

IndexRange vocab_shard(const TpShard& shard, int rank) { return range_of(shard.whole_vocab, rank, shard.ranks); }

ModelSpec spec_of(const ModelSpec& whole, const TpShard& shard) {
  ModelSpec spec = whole;
  spec.heads = shard.heads.size();
  spec.kv_heads = shard.kv_heads.size();
  spec.intermediate = shard.intermediate.size();
  spec.vocab = shard.vocab.size();
  return spec;
}

StridedSlice weight_slice(const ModelSpec& whole, const TpShard& shard, Linear linear) {
  const LinearShape shape = linear_shape(whole, linear);
  const LinearCut cut = cut_of(whole, shard, linear);
  if (shard.is_whole() || shape.out == 0) {
    return all_of(shape.out * shape.in);
  }
  return cut.by_rows ? times(cut.units, shape.in) : columns(cut.units, shape.out, shape.in);
}

StridedSlice bias_slice(const ModelSpec& whole, const TpShard& shard, Linear linear) {
  const LinearCut cut = cut_of(whole, shard, linear);
  if (shard.is_whole() || !cut.by_rows) {
    return all_of(shard.rank == 0 ? linear_shape(whole, linear).out : 0);
  }
  return cut.units;
}

StridedSlice a_slice(const ModelSpec& whole, const TpShard& shard, Linear linear, std::int64_t r) {
  const LinearShape shape = linear_shape(whole, linear);
  const LinearCut cut = cut_of(whole, shard, linear);
  return shard.is_whole() || cut.by_rows ? all_of(r * shape.in) : columns(cut.units, r, shape.in);
}

StridedSlice b_slice(const ModelSpec& whole, const TpShard& shard, Linear linear, std::int64_t r) {
  const LinearShape shape = linear_shape(whole, linear);
  const LinearCut cut = cut_of(whole, shard, linear);
  return shard.is_whole() || !cut.by_rows ? all_of(shape.out * r) : times(cut.units, r);
}

std::int64_t first_input(const ModelSpec& whole, const TpShard& shard, Linear linear) {
  const LinearCut cut = cut_of(whole, shard, linear);
  return shard.is_whole() || cut.by_rows ? 0 : cut.units.start;
}

}  // namespace lora_dist
