"""The embedded model before training: its tokenizer, its initial weights, starting from a model."""

import torch

from conversation_models import prompter, samples
from ttt_memory.conversation.config.base_model import ArchitectureConfig, BaseConfig
from ttt_memory.conversation.models.embedded import build_model, start_from
from ttt_memory.conversation.models.loading import load_model


def test_initial_heads_attend_to_the_previous_token_and_copy_matches():
    architecture = ArchitectureConfig(num_hidden_layers=2, vocab_size=2048)
    model = build_model(architecture, prompter().tokenizer, 0).eval()
    model.set_attn_implementation("eager")
    torch.manual_seed(0)
    ids = torch.randint(300, len(prompter().tokenizer), (32, 40))
    ids[:, 25] = ids[:, 10]
    with torch.no_grad():
        first, second = model(ids, output_attentions=True).attentions
    assert first[:, 0].diagonal(-1, 1, 2)[:, 5:].mean() > 0.7
    at_successor = second[:, :2, 25].mean(1)[:, 11].mean()
    assert at_successor > 4 / 26  # attention without preference gives 1 / 26


def test_a_model_too_narrow_for_the_copying_heads_is_built_without_them():
    architecture = ArchitectureConfig(
        hidden_size=32, head_dim=16, num_attention_heads=2, num_key_value_heads=2, vocab_size=2048
    )
    assert build_model(architecture, prompter().tokenizer, 0).config.hidden_size == 32


def test_a_model_to_start_from_gets_the_rotary_frequencies_of_the_configuration(tmp_path):
    built = {
        theta: build_model(
            ArchitectureConfig(num_hidden_layers=1, vocab_size=2048, rope_theta=theta),
            prompter().tokenizer,
            0,
        ).eval()
        for theta in (1e4, 1e6)
    }
    built[1e4].save_pretrained(tmp_path / "first")
    found = start_from(tmp_path / "first", BaseConfig(architecture={"rope_theta": 1e6}))
    found.save_pretrained(tmp_path / "second")
    # Everything but the frequencies comes from the first model.
    built[1e6].load_state_dict(built[1e4].state_dict())
    ids = torch.randint(300, 900, (1, 50), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, before = built[1e6](ids).logits, built[1e4](ids).logits
        assert torch.equal(found(ids).logits, expected)
        assert torch.equal(load_model(tmp_path / "second")(ids).logits, expected)
    assert not torch.allclose(expected, before, atol=1e-3)


def test_the_tokenizer_decodes_any_text_it_encoded():
    tokenizer = prompter().tokenizer
    for text in ("预算是 1500 万。", "The budget is 1500.\n", "naïve Ωmega 🙂 \t x"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_each_digit_and_each_chinese_character_is_a_token():
    tokenizer = prompter().tokenizer
    assert tokenizer.convert_ids_to_tokens(tokenizer("150")["input_ids"]) == ["1", "5", "0"]
    chinese = "".join(c for c in samples()[0].sessions[0] if "\u4e00" <= c <= "\u9fff")
    assert tokenizer.tokenize(chinese) == list(chinese)
