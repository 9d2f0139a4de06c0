// The head in chunks of tokens and of the vocabulary, so that logits of a whole batch never exist. Products have the same shapes,
// and are added in the same order, whether chunks of the vocabulary are all there or gathered one after the other.
#include "src/transformer/head.h"

#include <algorithm>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/rows.h"
#include "kernels/matmul/matmul.h"
#include "src/core/pulse.h"
#include "src/transformer/stage_values.h"

namespace lora_dist {

namespace {

/// The tokens that the head looks at, as they lie where the operators run.
struct Picked {
  std::int64_t count = 0;
  ConstTensorView index;    // i32 [count]: which token
  ConstTensorView targets;  // i32 [count]
};

/// Picks tokens and puts their last hidden states after the final norm in the workspace.
Picked pick_and_norm(const Transformer& model, const Pass& pass, bool only_targets) {
  const Workspace& workspace = *model.workspace;
  std::vector<std::int32_t> index;
  std::vector<std::int32_t> targets;
  for (std::int64_t t = 0; t < pass.tokens(); ++t) {
    const std::int32_t target = pass.targets[static_cast<std::size_t>(t)];
    if (!only_targets || target != kNotTrained) {
      index.push_back(static_cast<std::int32_t>(t));
      targets.push_back(target);
    }
  }
  Picked picked;
  picked.count = static_cast<std::int64_t>(index.size());
  if (picked.count == 0) {
    return picked;
  }
  picked.index = stage_values(index, workspace.pass.index, model.stream);
  picked.targets = stage_values(targets, workspace.pass.targets, model.stream);
  gather_rows(last_hidden(model, pass.tokens()), picked.index, workspace.picked.rows(picked.count), model.stream);
  norm(model.base->final_norm, model.base->spec.norm_eps, workspace.picked.rows(picked.count),
       workspace.picked_normed.rows(picked.count), workspace.picked_norm.rows(picked.count), model.stream);
  return picked;
}

/// Some of the picked tokens, and where what belongs to them lies.
struct TokenChunk {
  std::int64_t first = 0;
  std::int64_t rows = 0;
  TensorView normed;             // [rows, hidden]: what logits come from; then its gradient
  TensorView gradient;           // f32 [rows, hidden]: the same as it is summed
  ConstTensorView targets;       // i32 [rows]
  TensorView loss;               // f32 [rows]
  std::span<float> numbers;      // [chunks * rows, 3]: this rank's of each chunk of the vocabulary
  std::span<float> all_numbers;  // [ranks * chunks * rows, 3]
};

template <class Work>
void for_each_token_chunk(const Transformer& model, const Picked& picked, Work work) {
  const Workspace& workspace = *model.workspace;
  const VocabTable& head = model.base->head;
  for (std::int64_t first = 0; first < picked.count; first += workspace.logits_rows) {
    beat();
    model.window->poke();
    TokenChunk chunk;
    chunk.first = first;
    chunk.rows = std::min(workspace.logits_rows, picked.count - first);
    chunk.normed = workspace.picked_normed.rows_from(first, chunk.rows);
    chunk.gradient = head.chunks == 1 ? chunk.normed
                     : head.gathers() ? workspace.head_gradient.rows_from(first, chunk.rows)
                                      : workspace.head_gradient.rows(chunk.rows);
    chunk.targets = view(picked.targets.as<std::int32_t>() + first, {chunk.rows});
    chunk.loss = workspace.token_loss.column_from(first, chunk.rows);
    const auto number = [&](std::int64_t tokens) { return static_cast<std::size_t>(tokens * head.chunks * kSoftmaxNumbers); };
    if (!workspace.softmax_numbers.empty()) {
      chunk.numbers = workspace.softmax_numbers.subspan(number(first), number(chunk.rows));
    }
    chunk.all_numbers = chunk.numbers;
    if (model.tensor != nullptr) {
      const int ranks = model.tensor->size();
      chunk.all_numbers = workspace.all_softmax_numbers.subspan(number(first * ranks), number(chunk.rows * ranks));
    }
    work(chunk);
  }
}

/// Logits of some tokens over a chunk of the vocabulary.
struct LogitsChunk {
  std::int64_t first_id = 0;
  std::int64_t number = 0;  // which chunk of the vocabulary
  ConstTensorView head;     // [ids, hidden]
  TensorView logits;        // f32 [rows, ids]
  TensorView gradient;      // [rows, ids] in the compute dtype
};

/// `from`: element of the logits' buffer.
LogitsChunk logits_chunk(const Transformer& model, const TokenChunk& tokens, std::int64_t number, ConstTensorView head,
                         std::int64_t from) {
  const Workspace& workspace = *model.workspace;
  const Shape shape{tokens.rows, head.rows()};
  auto* gradient = static_cast<std::byte*>(workspace.logits_gradient);
  return {model.base->part.vocab.begin + model.base->head.chunk(number).begin,
          number,
          head,
          view(workspace.logits.data() + from, shape),
          {gradient + static_cast<std::size_t>(from) * size_of(workspace.compute_dtype), workspace.compute_dtype, shape}};
}

void compute_logits(const Transformer& model, const TokenChunk& tokens, const LogitsChunk& chunk) {
  matmul({.a = tokens.normed, .b = chunk.head, .op_b = Transpose::yes, .c = chunk.logits}, model.stream);
}

/// Whether one softmax sees all of the vocabulary.
bool is_alone(const Transformer& model) { return model.base->head.chunks == 1 && model.tensor == nullptr; }

void note_numbers(const Transformer& model, const TokenChunk& tokens, const LogitsChunk& chunk) {
  if (!is_alone(model)) {
    float* numbers = tokens.numbers.data() + chunk.number * tokens.rows * kSoftmaxNumbers;
    softmax_numbers(chunk.logits, tokens.targets, chunk.first_id, view(numbers, {tokens.rows, kSoftmaxNumbers}), model.stream);
  }
}

/// The ranks that share the vocabulary tell each other three numbers of each row and chunk.
void exchange_numbers(const Transformer& model, const TokenChunk& tokens) {
  if (model.tensor != nullptr) {
    // Over a device the stream waits for it, the host does not.
    model.tensor
        ->start_all_gather(std::as_bytes(tokens.numbers), std::as_writable_bytes(tokens.all_numbers), WireKind::tensor_activation)
        ->wait();
  }
}

/// Losses of the tokens, and the gradient of a chunk of the vocabulary over its logits or beside them.
void loss_of_chunk(const Transformer& model, const TokenChunk& tokens, const LogitsChunk& chunk, float loss_scale) {
  if (is_alone(model)) {
    cross_entropy(chunk.logits, tokens.targets, loss_scale, tokens.loss, chunk.gradient, model.stream);
    return;
  }
  const auto rows = static_cast<std::int64_t>(tokens.all_numbers.size()) / kSoftmaxNumbers;
  cross_entropy_part({.logits = chunk.logits,
                      .targets = tokens.targets,
                      .first = chunk.first_id,
                      .numbers = view(tokens.all_numbers.data(), {rows, kSoftmaxNumbers}),
                      .scale = loss_scale,
                      .loss = tokens.loss,
                      .gradient = chunk.gradient},
                     model.stream);
}

/// Adds a chunk's part of the gradient; chunks come in falling order. The normed rows of a head of one chunk have served: their
/// gradient takes their place.
void add_gradient(const Transformer& model, const TokenChunk& tokens, const LogitsChunk& chunk) {
  const float beta = chunk.number + 1 == model.base->head.chunks ? 0.0F : 1.0F;
  matmul({.a = chunk.gradient, .b = chunk.head, .added = {.beta = beta}, .c = tokens.gradient}, model.stream);
}

/// Puts the summed gradient where the normed rows were.
void keep_gradient(const Transformer& model, const TokenChunk& tokens) {
  if (tokens.gradient.dtype != tokens.normed.dtype) {
    cast(tokens.gradient, tokens.normed, model.stream);
  } else if (tokens.gradient.data != tokens.normed.data) {
    copy(tokens.gradient, tokens.normed, model.stream);
  }
}

/// All of the vocabulary is there: some tokens after the other, with logits over all of it. `only_chunk`: of a head that has but
/// one; others lie in place.
void loss_by_tokens(const Transformer& model, const Picked& picked, ConstTensorView only_chunk, float loss_scale, bool backward) {
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
      loss_of_chunk(model, tokens, chunk_at(i), loss_scale);
      if (backward) {
        add_gradient(model, tokens, chunk_at(i));
      }
    }
    if (backward) {
      keep_gradient(model, tokens);
    }
  });
}

/// Chunks of the vocabulary come one after the other, up for the losses and down for the gradient, with logits of one at a time.
void loss_by_vocabulary(const Transformer& model, const Picked& picked, float loss_scale, bool backward) {
  TableWindow& tables = model.window->tables();
  const VocabTable& head = model.base->head;
  const auto with_chunk = [&](std::int64_t i, std::int64_t next, auto work) {
    const ConstTensorView rows = tables.acquire(head, i);
    if (next >= 0 && next < head.chunks) {
      tables.prefetch(head, next);
    }
    for_each_token_chunk(model, picked, [&](const TokenChunk& tokens) {
      const LogitsChunk chunk = logits_chunk(model, tokens, i, rows, 0);
      compute_logits(model, tokens, chunk);
      work(tokens, chunk);
    });
    tables.release(head, i);
  };
  for (std::int64_t i = 0; i < head.chunks; ++i) {
    with_chunk(i, i + 1, [&](const TokenChunk& tokens, const LogitsChunk& chunk) { note_numbers(model, tokens, chunk); });
  }
  for_each_token_chunk(model, picked, [&](const TokenChunk& tokens) { exchange_numbers(model, tokens); });
  const std::int64_t last = backward ? 0 : head.chunks - 1;  // any chunk gives the losses
  for (std::int64_t i = head.chunks - 1; i >= last; --i) {
    with_chunk(i, i > last ? i - 1 : -1, [&](const TokenChunk& tokens, const LogitsChunk& chunk) {
      loss_of_chunk(model, tokens, chunk, loss_scale);
      if (backward) {
        add_gradient(model, tokens, chunk);
      }
    });
  }
  if (backward) {
    for_each_token_chunk(model, picked, [&](const TokenChunk& tokens) { keep_gradient(model, tokens); });
  }
}

void loss_of_picked(const Transformer& model, const Picked& picked, float loss_scale, bool backward) {
  TableWindow& tables = model.window->tables();
  const VocabTable& head = model.base->head;
  if (head.gathers() && head.chunks > 1) {
    loss_by_vocabulary(model, picked, loss_scale, backward);
    return;
  }
  const ConstTensorView first = tables.acquire(head, 0);  // the only chunk that may have to be gathered
  loss_by_tokens(model, picked, first, loss_scale, backward);
  tables.release(head, 0);
}

/// From picked_normed, which holds each rank's share, to gradients.hidden.
void gradient_of_picked(const Transformer& model, const Picked& picked, std::int64_t tokens) {
  const Workspace& workspace = *model.workspace;
  const TensorRows rows = tensor_rows(model, tokens);
  const TensorView dhidden = workspace.gradients.hidden.rows(rows.own());
  if (picked.count == 0) {
    zero(dhidden, model.stream);
    return;
  }
  const TensorView dnormed = workspace.picked_normed.rows(picked.count);
  sum_over_ranks(rows, dnormed);
  const TensorView dpicked = workspace.gradients.normed.rows(picked.count);
  zero(dpicked, model.stream);
  norm_backward(model.base->final_norm, dnormed, workspace.picked.rows(picked.count), workspace.picked_norm.rows(picked.count),
                dpicked, model.stream);
  if (!rows.divided()) {
    scatter_rows(dpicked, picked.index, dhidden, model.stream);
    return;
  }
  scatter_rows(dpicked, picked.index, rows.all.rows(tokens), model.stream);
  zero_padding(rows, rows.all);
  copy(own_part(rows, rows.all), dhidden, model.stream);
}

}  // namespace

std::int64_t head_and_loss(const Transformer& model, const Pass& pass, float loss_scale, bool backward) {
  const Picked picked = pick_and_norm(model, pass, true);
  loss_of_picked(model, picked, loss_scale, backward);
  if (backward) {
    gradient_of_picked(model, picked, pass.tokens());
  }
  return picked.count;
}

double sum_of_losses(const Transformer& model, std::int64_t count) {
  std::vector<float> losses(static_cast<std::size_t>(count));
  if (count > 0) {
    to_host(model.workspace->token_loss.column(count), view(std::span(losses)), model.stream);
  }
  double sum = 0.0;
  for (const float loss : losses) {
    sum += static_cast<double>(loss);
  }
  return sum;
}

void head_log_probs(const Transformer& model, const Pass& pass, std::span<float> log_prob, std::span<std::int32_t> argmax) {
  const Workspace& workspace = *model.workspace;
  const ConstTensorView head = model.base->head.whole();
  const Picked picked = pick_and_norm(model, pass, false);
  for_each_token_chunk(model, picked, [&](const TokenChunk& tokens) {
    const TensorView logits = view(workspace.logits.data(), {tokens.rows, head.rows()});
    matmul({.a = tokens.normed, .b = head, .op_b = Transpose::yes, .c = logits}, model.stream);
    token_log_prob(logits, tokens.targets, tokens.loss, view(workspace.pass.argmax.data() + tokens.first, {tokens.rows}),
                   model.stream);
  });
  if (picked.count > 0) {
    const auto count = static_cast<std::size_t>(picked.count);
    to_host(workspace.token_loss.column(picked.count), view(log_prob.first(count)), model.stream);
    to_host(view(workspace.pass.argmax.first(count)), view(argmax.first(count)), model.stream);
  }
}

}  // namespace lora_dist
