// Embedding, its scale and learned positions.
#include "src/transformer/embed.h"

#include <algorithm>

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/rows.h"
#include "kernels/embedding/embedding.h"
#include "src/transformer/trained_tables.h"
#include "src/transformer/transformer.h"
#include "src/transformer/virtual_tokens.h"

namespace lora_dist {

namespace {

/// [tokens, hidden]: the buffer for the rows of all tokens; the head does not use its rows yet.
const RowBuffer& looked_up(const EmbeddedBatch& batch) {
  return batch.tp.sequence_parallel() ? batch.buffers.head.picked : batch.buffers.entering(0);
}

/// Padding rows have no position.
void add_positions(const ForwardContext& model, const EmbeddedBatch& batch, const TensorView& hidden) {
  const TensorParallel& tp = batch.tp;
  const std::int64_t count = std::min(tp.shard_tokens(), tp.tokens - tp.first_token());
  if (count > 0) {
    const auto* positions = batch.batch.positions.as<std::int32_t>() + tp.first_token();
    add_rows(model.base->positions, view(positions, {count}), {hidden.data, hidden.dtype, {count, hidden.cols()}}, model.stream);
  }
}

/// True if trained rows serve all tokens; then looks them up. Rows of virtual tokens are zero.
bool look_up_trained(const ForwardContext& model, std::span<const EmbeddedBatch> batches) {
  const TrainedTable* const table = find_table(model.layout->tables, TableSite::embedding);
  if (table == nullptr || !table->is_whole()) {
    return false;
  }
  for (const EmbeddedBatch& batch : batches) {
    if (batch.batch.tokens > 0) {
      const TensorView hidden = looked_up(batch).rows(batch.batch.tokens);
      zero(hidden, model.stream);
      put_trained_embedding(model, batch.batch, hidden);
    }
  }
  return true;
}

/// Looks up rows of the embedding, chunk by chunk of the vocabulary. Rows of virtual tokens are zero.
void look_up(const ForwardContext& model, std::span<const EmbeddedBatch> batches) {
  const FrozenBase& base = *model.base;
  const VocabTable& table = base.embedding;
  const auto alone = [&](const EmbeddedBatch& batch) {  // one table has all ids
    return table.chunks == 1 && model.tensor == nullptr && batch.batch.virtual_tokens == 0;
  };
  for (const EmbeddedBatch& batch : batches) {
    if (!alone(batch) && batch.batch.tokens > 0) {
      zero(looked_up(batch).rows(batch.batch.tokens), model.stream);
    }
  }
  for (std::int64_t i = 0; i < table.chunks; ++i) {
    const ConstTensorView rows = model.window->tables().acquire(table, i);
    if (i + 1 < table.chunks) {
      model.window->tables().prefetch(table, i + 1);
    }
    for (const EmbeddedBatch& batch : batches) {
      if (batch.batch.tokens == 0) {
        continue;
      }
      const TensorView hidden = looked_up(batch).rows(batch.batch.tokens);
      if (alone(batch)) {
        embedding(batch.batch.ids, rows, hidden, model.stream);
      } else {
        embedding_part(batch.batch.ids, base.tp.vocab.begin + table.chunk(i).begin, rows, hidden, model.stream);
      }
    }
    model.window->tables().release(table, i);
  }
  for (const EmbeddedBatch& batch : batches) {
    if (batch.batch.tokens > 0) {
      put_token_rows(model, batch.batch, looked_up(batch).rows(batch.batch.tokens));
    }
  }
}

}  // namespace

void embed(const ForwardContext& model, std::span<const EmbeddedBatch> batches) {
  if (!look_up_trained(model, batches)) {
    look_up(model, batches);
  }
  const ModelSpec& spec = model.base->spec;
  for (const EmbeddedBatch& batch : batches) {
    if (batch.batch.tokens == 0) {
      continue;
    }
    const TensorView sum = reduce_to_shards(batch.tp, looked_up(batch));
    const TensorView hidden = batch.buffers.entering(0).rows(batch.tp.shard_tokens());
    if (batch.tp.sequence_parallel()) {
      copy(sum, hidden, model.stream);
    }
    if (spec.embedding_scale_of_model) {
      put_virtual_input(model, batch.batch, batch.tp, hidden);
    }
    if (spec.embedding_scale != 1.0F) {
      scale(hidden, spec.embedding_scale, model.stream);
    }
    if (!spec.embedding_scale_of_model) {
      put_virtual_input(model, batch.batch, batch.tp, hidden);
    }
    if (spec.learned_positions) {
      add_positions(model, batch, hidden);
    }
  }
}

void embedding_rows(const ForwardContext& model, std::span<const std::int32_t> ids, TensorView out) {
  const MicroBatchBuffers& buffers = model.workspace->in_flight[0];
  const std::vector<std::int32_t> targets(ids.size(), kNotTrained);
  const DeviceMicroBatch batch = to_device(one_sequence({ids.begin(), ids.end()}, targets), nullptr, buffers, model.stream);
  const TensorParallel tp = tensor_parallel(model, batch.tokens);
  const EmbeddedBatch one{batch, tp, buffers};
  look_up(model, {&one, 1});
  reduce_to_shards(tp, looked_up(one));
  const TensorView rows = gather_shards(tp, looked_up(one));
  const ModelSpec& spec = model.base->spec;
  if (spec.embedding_scale != 1.0F && !spec.embedding_scale_of_model) {
    scale(rows, spec.embedding_scale, model.stream);
  }
  cast(rows, out, model.stream);
}

}  // namespace lora_dist
