// Calls the operators of rows and columns with the trained tables of the flat buffer.
#include "src/transformer/trained_tables.h"

#include <algorithm>

#include "kernels/elementwise/columns.h"
#include "kernels/embedding/embedding.h"
#include "kernels/embedding/embedding_gradient.h"
#include "kernels/matmul/matmul.h"

namespace lora_dist {

namespace {

const TrainedTable* table_at(const ForwardContext& model, TableSite site) { return find_table(model.layout->tables, site); }

/// f32 [rows, hidden]: this rank's.
ConstTensorView rows_f32(const ForwardContext& model, const TrainedTable& table) {
  return view(model.params.data() + table.parameter.offset, table.parameter.shape);
}

/// The same in the compute dtype, as cast_params left them: `count` rows from `first` on.
ConstTensorView rows_cast(const ForwardContext& model, const TrainedTable& table, std::int64_t first, std::int64_t count) {
  const Workspace& workspace = *model.workspace;
  const Shape shape{count, table.parameter.cols()};
  const std::int64_t offset = table.parameter.offset + first * table.parameter.cols();
  if (workspace.compute_dtype == DType::f32) {
    return view(model.params.data() + offset, shape);
  }
  const auto* bytes = static_cast<const std::byte*>(workspace.params.data);
  return {bytes + static_cast<std::size_t>(offset) * size_of(workspace.params.dtype), workspace.params.dtype, shape};
}

/// Among this rank's rows of a whole table.
std::int64_t row_of(const ForwardContext& model, std::int64_t id) { return id - model.base->tp.vocab.begin; }

TensorView gradient_rows(std::span<float> grads, const TrainedTable& table, std::int64_t first, std::int64_t count) {
  return view(grads.data() + table.parameter.offset + first * table.parameter.cols(), {count, table.parameter.cols()});
}

/// The trained tokens of the head whose ids lie in a chunk: [first, first + count) of its table's.
struct TokensOfChunk {
  const TrainedTable* table = nullptr;
  std::int64_t first = 0;
  std::int64_t count = 0;
  ConstTensorView ids;  // i32 [count], in the operators' memory
};

TokensOfChunk tokens_in(const ForwardContext& model, std::int64_t first_id, std::int64_t width) {
  const TrainedTable* const table = table_at(model, TableSite::head);
  if (table == nullptr || table->is_whole()) {
    return {};
  }
  const auto begin = std::ranges::lower_bound(table->ids, first_id);
  const auto end = std::ranges::lower_bound(table->ids, first_id + width);
  const std::int64_t first = begin - table->ids.begin();
  return {table, first, end - begin, view(model.workspace->token_logits.ids.data() + first, {end - begin})};
}

}  // namespace

bool trains_embedding(const AdapterLayout& layout) { return find_table(layout.tables, TableSite::embedding) != nullptr; }

bool trains_token_rows(const AdapterLayout& layout) {
  const TrainedTable* const table = find_table(layout.tables, TableSite::embedding);
  return table != nullptr && !table->is_whole();
}

std::vector<std::int32_t> token_rows_of(const ForwardContext& model, const MicroBatch& batch) {
  const std::vector<std::int32_t>& trained = table_at(model, TableSite::embedding)->ids;
  const IndexRange& mine = model.base->tp.vocab;
  std::vector<std::int32_t> rows(batch.ids.size(), -1);
  for (std::size_t t = 0; t < rows.size(); ++t) {
    const std::int32_t id = batch.ids[t];
    const auto found = std::ranges::lower_bound(trained, id);
    if (found != trained.end() && *found == id && id >= mine.begin && id < mine.end) {
      rows[t] = static_cast<std::int32_t>(found - trained.begin());
    }
  }
  return rows;
}

void put_trained_embedding(const ForwardContext& model, const DeviceMicroBatch& batch, TensorView hidden) {
  const TrainedTable& table = *table_at(model, TableSite::embedding);
  embedding_part(batch.ids, model.base->tp.vocab.begin, rows_f32(model, table), hidden, model.stream);
}

void put_token_rows(const ForwardContext& model, const DeviceMicroBatch& batch, TensorView hidden) {
  if (batch.token_rows.data != nullptr) {
    embedding_part(batch.token_rows, 0, rows_f32(model, *table_at(model, TableSite::embedding)), hidden, model.stream);
  }
}

void take_trained_embedding(const BlockContext& block) {
  const ForwardContext& model = block.model;
  const TrainedTable* const table = table_at(model, TableSite::embedding);
  if (table == nullptr) {
    return;
  }
  const TensorView all = gather_shard(block.tp, block.hidden_gradient());
  const TensorView dx{all.data, all.dtype, {block.batch.tokens, all.cols()}};
  const TensorView rows = gradient_rows(block.linears.grads, *table, 0, table->parameter.shape[0]);
  const float scale = block.spec().embedding_scale;
  if (table->is_whole()) {
    embedding_gradient(block.batch.ids, model.base->tp.vocab.begin, dx, scale, rows, model.stream);
  } else {
    embedding_gradient(block.batch.token_rows, 0, dx, scale, rows, model.stream);
  }
}

ConstTensorView head_rows(const ForwardContext& model, std::int64_t first_id, ConstTensorView of_base) {
  const TrainedTable* const table = table_at(model, TableSite::head);
  return table != nullptr && table->is_whole() ? rows_cast(model, *table, row_of(model, first_id), of_base.rows()) : of_base;
}

void put_token_logits(const ForwardContext& model, std::int64_t first_id, ConstTensorView normed, TensorView logits) {
  const TokensOfChunk tokens = tokens_in(model, first_id, logits.cols());
  if (tokens.count == 0) {
    return;
  }
  const TensorView there = view(model.workspace->token_logits.logits.data(), {normed.rows(), tokens.count});
  matmul({.a = normed,
          .b = rows_cast(model, *tokens.table, tokens.first, tokens.count),
          .op_b = Transpose::yes,
          .alpha = model.base->spec.logits_scale,
          .c = there},
         model.stream);
  put_columns(there, tokens.ids, first_id, logits, model.stream);
}

void head_gradient(const ForwardContext& model, ConstTensorView dlogits, ConstTensorView normed, TensorView rows) {
  matmul({.a = dlogits,
          .op_a = Transpose::yes,
          .b = normed,
          .alpha = model.base->spec.logits_scale,
          .added = {.beta = 1.0F},
          .c = rows},
         model.stream);
}

void add_head_gradient(const ForwardContext& model, const HeadRows& chunk, std::span<float> grads) {
  const TrainedTable* const table = table_at(model, TableSite::head);
  if (table != nullptr && table->is_whole()) {
    head_gradient(model, chunk.dlogits, chunk.normed,
                  gradient_rows(grads, *table, row_of(model, chunk.first_id), chunk.dlogits.cols()));
  }
  const TokensOfChunk tokens = tokens_in(model, chunk.first_id, chunk.dlogits.cols());
  if (tokens.count == 0) {
    return;
  }
  const TensorView& buffer = model.workspace->token_logits.gradient;
  const TensorView dlogits{buffer.data, buffer.dtype, {chunk.dlogits.rows(), tokens.count}};
  take_columns(chunk.dlogits, tokens.ids, chunk.first_id, dlogits, model.stream);
  head_gradient(model, dlogits, chunk.normed, gradient_rows(grads, *tokens.table, tokens.first, tokens.count));
}

void add_token_gradient(const ForwardContext& model, const HeadRows& chunk, TensorView dnormed) {
  const TokensOfChunk tokens = tokens_in(model, chunk.first_id, chunk.dlogits.cols());
  if (tokens.count == 0) {
    return;
  }
  const TensorView& buffer = model.workspace->token_logits.gradient;
  matmul({.a = ConstTensorView{buffer.data, buffer.dtype, {chunk.dlogits.rows(), tokens.count}},
          .b = rows_cast(model, *tokens.table, tokens.first, tokens.count),
          .alpha = model.base->spec.logits_scale,
          .added = {.beta = 1.0F},
          .c = dnormed},
         model.stream);
}

}  // namespace lora_dist
