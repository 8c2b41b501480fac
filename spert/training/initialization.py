"""The encoder's weights before the first step: pre-trained, or drawn anew for the paper's study of pre-training."""

from transformers import AutoModel

from ..modeling_spert import SpertModel

ENCODER_WEIGHTS = ("pretrained", "embeddings", "random")
_EMBEDDINGS = "embeddings."


def reset_encoder(model: SpertModel, encoder_weights: str) -> None:
    """Draw the weights of a model's encoder anew, from torch's random generator, as its configuration says.

    Args:
        model: its heads stay as they are.
        encoder_weights: which weights stay: all with `pretrained`, those of the embedding layer (pieces, positions,
            and their layer norm) with `embeddings`, none with `random`.

    Raises:
        ValueError: embeddings shall stay, and the encoder has no layer of that name.
    """
    if encoder_weights == "pretrained":
        return
    encoder = model.encoder
    weights = AutoModel.from_config(encoder.config).state_dict()
    kept = [name for name in weights if name.startswith(_EMBEDDINGS)] if encoder_weights == "embeddings" else []
    if encoder_weights == "embeddings" and not kept:
        raise ValueError(
            f"--encoder_weights embeddings: expected an encoder with a layer of embeddings, got "
            f"{type(encoder).__name__}, whose weights have names such as {next(iter(weights))!r}."
        )
    own = encoder.state_dict()
    encoder.load_state_dict({name: own[name] if name in kept else weights[name] for name in own})
