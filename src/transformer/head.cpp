// The head in chunks of tokens and of the vocabulary, so that logits of a whole micro-batch never exist. Products have the same
// shapes and are added in the same order, whether chunks of the vocabulary are all in memory or gathered one after the other, and
// for any number of micro-batches in flight.
#include "src/transformer/head.h"

#include <algorithm>

#include "kernels/common/work_record.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/rows.h"
#include "kernels/matmul/matmul.h"
#include "kernels/scale/scale.h"
#include "src/core/activity.h"
#include "src/transformer/base_gradients.h"
#include "src/transformer/picked_tokens.h"
#include "src/transformer/trained_norms.h"
#include "src/transformer/trained_tables.h"

namespace lora_dist {

namespace {

/// Logits of some tokens over a chunk of the vocabulary.
struct LogitsChunk {
  std::int64_t first_id = 0;
  std::int64_t number = 0;  // index of the chunk of the vocabulary
  ConstTensorView head;     // [ids, hidden]
  TensorView logits;        // f32 [rows, ids]
  TensorView gradient;      // [rows, ids] in the compute dtype
};

/// `from`: offset in the logits' buffer.
LogitsChunk logits_chunk(const ForwardContext& model, const TokenChunk& tokens, std::int64_t number, ConstTensorView head,
                         std::int64_t from) {
  const Workspace& workspace = *model.workspace;
  const Shape shape{tokens.rows, head.rows()};
  auto* gradient = static_cast<std::byte*>(workspace.logits_gradient);
  const std::int64_t first_id = model.base->tp.vocab.begin + model.base->head.chunk(number).begin;
  return {first_id,
          number,
          head_rows(model, first_id, head),
          view(workspace.logits.data() + from, shape),
          {gradient + static_cast<std::size_t>(from) * size_of(workspace.compute_dtype), workspace.compute_dtype, shape}};
}

void compute_logits(const ForwardContext& model, const TokenChunk& tokens, const LogitsChunk& chunk) {
  logits_of(model, tokens.normed, chunk.first_id, chunk.head, chunk.logits);
}

/// True if one softmax covers the whole vocabulary.
bool is_alone(const ForwardContext& model) { return model.base->head.chunks == 1 && model.tensor == nullptr; }

void note_numbers(const ForwardContext& model, const TokenChunk& tokens, const LogitsChunk& chunk) {
  if (!is_alone(model)) {
    float* numbers = tokens.numbers.data() + chunk.number * tokens.rows * kSoftmaxNumbers;
    softmax_numbers(chunk.logits, tokens.targets, chunk.first_id, view(numbers, {tokens.rows, kSoftmaxNumbers}), model.stream);
  }
}

/// The ranks that share the vocabulary exchange three numbers per row and chunk.
void exchange_numbers(const ForwardContext& model, const TokenChunk& tokens) {
  if (model.tensor != nullptr) {
    // On a device the stream waits, not the host.
    model.tensor
        ->start_all_gather(std::as_bytes(tokens.numbers), std::as_writable_bytes(tokens.all_numbers), WireKind::tensor_activation)
        ->wait();
  }
}

/// Losses of the tokens, and the gradient of a chunk of the vocabulary, over its logits or in a buffer of its own.
void loss_of_chunk(const ForwardContext& model, const TokenChunk& tokens, const LogitsChunk& chunk, float scale) {
  const LossGradient of{scale, model.base->spec.logits_cap};
  if (is_alone(model)) {
    cross_entropy(chunk.logits, tokens.targets, of, tokens.loss, chunk.gradient, model.stream);
    return;
  }
  const auto rows = static_cast<std::int64_t>(tokens.all_numbers.size()) / kSoftmaxNumbers;
  cross_entropy_part({.logits = chunk.logits,
                      .targets = tokens.targets,
                      .first = chunk.first_id,
                      .numbers = view(tokens.all_numbers.data(), {rows, kSoftmaxNumbers}),
                      .of = of,
                      .loss = tokens.loss,
                      .gradient = chunk.gradient},
                     model.stream);
}

/// Adds a chunk's part of the gradient, and the gradient of the chunk's rows where these are trained; chunks come in descending
/// order. With a head of one chunk the gradient overwrites the normed rows, which are no longer needed.
void add_gradient(const ForwardContext& model, const TokenChunk& tokens, const LogitsChunk& chunk) {
  const HeadRows rows{chunk.first_id, chunk.gradient, tokens.normed};
  add_head_gradient(model, rows, tokens.grads);
  add_head_rows(model, rows);
  const float beta = chunk.number + 1 == model.base->head.chunks ? 0.0F : 1.0F;
  matmul({.a = chunk.gradient,
          .b = chunk.head,
          .alpha = model.base->spec.logits_scale,
          .added = {.beta = beta},
          .c = tokens.gradient},
         model.stream);
  add_token_gradient(model, rows, tokens.gradient);
}

/// Overwrites the normed rows with the summed gradient.
void keep_gradient(const ForwardContext& model, const TokenChunk& tokens) {
  if (tokens.gradient.dtype != tokens.normed.dtype) {
    cast(tokens.gradient, tokens.normed, model.stream);
  } else if (tokens.gradient.data != tokens.normed.data) {
    copy(tokens.gradient, tokens.normed, model.stream);
  }
}

/// For a vocabulary that is all in memory: processes tokens in groups, with logits over the whole vocabulary. `only_chunk`: of a
/// head with one chunk; chunks of other heads are read in place.
void loss_by_tokens(const ForwardContext& model, const Picked& picked, ConstTensorView only_chunk, float scale, bool backward) {
  TableWindow& tables = model.window->tables();
  const VocabTable& head = model.base->head;
  for_each_token_chunk(model, picked, [&](const TokenChunk& tokens) {
    const auto chunk_at = [&](std::int64_t i) {
      const ConstTensorView rows = head.chunks == 1 ? only_chunk : tables.acquire(head, i);
      return logits_chunk(model, tokens, i, rows, tokens.rows * head.chunk(i).begin);
    };
    for (std::int64_t i = 0; i < head.chunks; ++i) {
      compute_logits(model, tokens, chunk_at(i));
      note_numbers(model, tokens, chunk_at(i));
    }
    exchange_numbers(model, tokens);
    for (std::int64_t i = head.chunks - 1; i >= 0; --i) {
      loss_of_chunk(model, tokens, chunk_at(i), scale);
      if (backward) {
        add_gradient(model, tokens, chunk_at(i));
      }
    }
    if (backward) {
      keep_gradient(model, tokens);
    }
  });
}

/// Calls work for each micro-batch. `gradients`: those of the chunk's rows, where the base's head is trained.
template <class Work>
void for_each_picked(const ForwardContext& model, std::span<const Picked> all, std::int64_t chunk, bool gradients, Work work) {
  if (!gradients) {
    std::ranges::for_each(all, work);
    return;
  }
  begin_head_gradients(model, chunk);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].count > 0) {
      begin_head_rows(model, chunk);
      work(all[i]);
      end_head_rows(model, chunk, i);
    }
  }
  end_head_gradients(model, chunk);
}

/// Processes chunks of the vocabulary in turn, ascending for losses and descending for the gradient, with the logits of one at a
/// time. A fetched chunk serves every micro-batch.
void loss_by_vocabulary(const ForwardContext& model, std::span<const Picked> all, float scale, bool backward) {
  TableWindow& tables = model.window->tables();
  const VocabTable& head = model.base->head;
  const auto for_each_of_all = [&](auto work) {
    for (const Picked& picked : all) {
      for_each_token_chunk(model, picked, work);
    }
  };
  const auto with_chunk = [&](std::int64_t i, std::int64_t next, bool gradients, auto work) {
    const ConstTensorView rows = tables.acquire(head, i);
    if (next >= 0 && next < head.chunks) {
      tables.prefetch(head, next);
    }
    for_each_picked(model, all, i, gradients, [&](const Picked& picked) {
      for_each_token_chunk(model, picked, [&](const TokenChunk& tokens) {
        const LogitsChunk chunk = logits_chunk(model, tokens, i, rows, 0);
        compute_logits(model, tokens, chunk);
        work(tokens, chunk);
      });
    });
    tables.release(head, i);
  };
  for (std::int64_t i = 0; i < head.chunks; ++i) {
    with_chunk(i, i + 1, false, [&](const TokenChunk& tokens, const LogitsChunk& chunk) { note_numbers(model, tokens, chunk); });
  }
  for_each_of_all([&](const TokenChunk& tokens) { exchange_numbers(model, tokens); });
  const std::int64_t last = backward ? 0 : head.chunks - 1;  // one chunk suffices for the losses
  for (std::int64_t i = head.chunks - 1; i >= last; --i) {
    with_chunk(i, i > last ? i - 1 : -1, backward, [&](const TokenChunk& tokens, const LogitsChunk& chunk) {
      loss_of_chunk(model, tokens, chunk, scale);
      if (backward) {
        add_gradient(model, tokens, chunk);
      }
    });
  }
  if (backward) {
    for_each_of_all([&](const TokenChunk& tokens) { keep_gradient(model, tokens); });
  }
}

/// Token losses of all micro-batches; with `backward` also this rank's share of the gradient of scale * their sum (head.normed).
void losses_of_picked(const ForwardContext& model, std::span<const Picked> all, float scale, bool backward) {
  TableWindow& tables = model.window->tables();
  const VocabTable& head = model.base->head;
  if (model.base->head_by_chunks() && head.chunks > 1) {
    loss_by_vocabulary(model, all, scale, backward);
    return;
  }
  const ConstTensorView first = tables.acquire(head, 0);  // the only chunk that may need a gather
  for_each_picked(model, all, 0, backward, [&](const Picked& picked) { loss_by_tokens(model, picked, first, scale, backward); });
  tables.release(head, 0);
}

std::vector<float> token_losses(const ForwardContext& model, const Picked& picked) {
  std::vector<float> losses(static_cast<std::size_t>(picked.count));
  if (picked.count > 0) {
    to_host(picked.head().token_loss.column(picked.count), view(std::span(losses)), model.stream);
  }
  return losses;
}

/// Returns the objective's value; multiplies the gradient of each token's row by its weight.
double apply_weights(const ForwardContext& model, const MicroBatch& batch, const Picked& picked, const Objective& objective) {
  const std::vector<float> losses = token_losses(model, picked);
  std::vector<float> weights(losses.size());
  const double value = objective.value(batch, losses, weights);
  if (picked.count > 0) {
    const TensorView there = picked.head().token_loss.column(picked.count);  // free: the losses have been read
    from_host(view(std::span<const float>(weights)), there, model.stream);
    const TensorView gradient = picked.head().normed.rows(picked.count);
    scale_rows(gradient, there, gradient, model.stream);
  }
  return value;
}

/// From head.normed, with each rank's share, to the micro-batch's hidden_gradient; adds the gradient of a trained norm to
/// `grads`.
void gradient_of_picked(const ForwardContext& model, const Picked& picked, std::span<float> grads) {
  const TensorParallel tp = tensor_parallel(model, picked.tokens);
  const TensorView dhidden = picked.buffers->hidden_gradient.rows(tp.shard_tokens());
  if (picked.count == 0) {
    zero(dhidden, model.stream);
    return;
  }
  const HeadBuffers& head = picked.head();
  const TensorView dnormed = head.normed.rows(picked.count);
  all_reduce_rows(tp, dnormed);
  const TensorView dpicked = model.workspace->gradients.normed.rows(picked.count);
  zero(dpicked, model.stream);
  const TensorView x = head.picked.rows(picked.count);
  const NormStatistics saved = head.norm.rows(picked.count);
  norm_backward(norm_weights(model, NormSite::last, 0), dnormed, x, saved, dpicked, model.stream);
  add_norm_gradient(model, NormSite::last, 0, {dnormed, x, saved, true}, grads);
  if (!tp.sequence_parallel()) {
    scatter_rows(dpicked, picked.index, dhidden, model.stream);
    return;
  }
  scatter_rows(dpicked, picked.index, tp.gathered.rows(picked.tokens), model.stream);
  zero_padding(tp, tp.gathered);
  copy(shard_of(tp, tp.gathered), dhidden, model.stream);
}

/// `grads`: per micro-batch; empty without backward.
std::vector<Picked> pick_all(const ForwardContext& model, std::span<const MicroBatch> batches,
                             std::span<const std::span<float>> grads) {
  std::vector<Picked> all;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    all.push_back(pick_and_norm(model, batches[i], model.workspace->in_flight[i], true));
    all.back().grads = grads.empty() ? std::span<float>{} : grads[i];
  }
  return all;
}

}  // namespace

std::vector<double> head_loss(const ForwardContext& model, std::span<const MicroBatch> batches) {
  const std::vector<Picked> all = pick_all(model, batches, {});
  losses_of_picked(model, all, 1.0F, false);
  std::vector<double> sums;
  for (const Picked& picked : all) {
    sums.push_back(sum_of_losses(token_losses(model, picked)));
  }
  return sums;
}

PendingLosses head_loss_and_gradient(const ForwardContext& model, std::span<const MicroBatch> batches, const Objective& objective,
                                     std::span<const std::span<float>> grads) {
  const WorkPart part(model.stream, kHeadPart);
  require(!objective.value || find_table(model.layout->tables, TableSite::head) == nullptr,
          "the head cannot be trained by an objective that weights tokens");
  const std::vector<Picked> all = pick_all(model, batches, grads);
  losses_of_picked(model, all, objective.scale, true);
  PendingLosses losses;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    losses.counts.push_back(all[i].count);
    if (objective.value) {
      losses.values.push_back(batches[i].tokens() == 0 ? 0.0 : apply_weights(model, batches[i], all[i], objective));
    }
    gradient_of_picked(model, all[i], grads[i]);
  }
  return losses;
}

std::vector<double> wait_for(const ForwardContext& model, const PendingLosses& losses) {
  if (!losses.values.empty()) {
    return losses.values;
  }
  std::vector<double> sums;
  for (std::size_t i = 0; i < losses.counts.size(); ++i) {
    Picked picked;
    picked.buffers = &model.workspace->in_flight[i];
    picked.count = losses.counts[i];
    sums.push_back(sum_of_losses(token_losses(model, picked)));
  }
  return sums;
}

void head_log_probs(const ForwardContext& model, const MicroBatch& batch, std::span<float> log_prob,
                    std::span<std::int32_t> argmax) {
  const Workspace& workspace = *model.workspace;
  const ConstTensorView head = model.base->head.whole();
  const Picked picked = pick_and_norm(model, batch, workspace.in_flight[0], false);
  for_each_token_chunk(model, picked, [&](const TokenChunk& tokens) {
    const TensorView logits = view(workspace.logits.data(), {tokens.rows, head.rows()});
    logits_of(model, tokens.normed, 0, head, logits);  // no ranks share it
    token_log_prob(logits, tokens.targets, tokens.loss, view(workspace.argmax.data() + tokens.first, {tokens.rows}),
                   model.stream);
  });
  if (picked.count > 0) {
    const auto count = static_cast<std::size_t>(picked.count);
    to_host(picked.head().token_loss.column(picked.count), view(log_prob.first(count)), model.stream);
    to_host(view(workspace.argmax.first(count)), view(argmax.first(count)), model.stream);
  }
}

}  // namespace lora_dist
