"""Layer-wise relevance propagation (LRP): `heatproof.attribute.propagation` has the walk and its rules."""

import torch
from torch import Tensor, nn

from heatproof.attribute.graph import walk_back
from heatproof.attribute.layers import require_logits
from heatproof.attribute.outputs import one_hot


@torch.no_grad()
def lrp(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    rule: str = "alpha1_beta0",
    epsilon: float = 1e-6,
    gamma: float = 0.25,
    batch_norm: str = "merge",
    bias: bool = False,
) -> Tensor:
    """Hand the target's output back from layer to layer, to each input by its share in the sum that it entered.

    A convolution or linear layer with inputs a_j and weights w_jk hands relevance R_k to its inputs by ``rule``. A
    max-pooling hands it to the maximum of each window. ReLU and other activations, dropout, factors and a softmax at
    the end hand it on unchanged (so behind a softmax it starts as the target's probability), what moves and joins
    features, as flatten and concatenation, to where they came from. Sums and means, as of an average-pooling or a
    residual block, hand it on in proportion to what each input adds. Of a product of features and a gate, which ends in
    a sigmoid (as squeeze and excitation), all goes to the features: the gate counts as a weight (Arras et al. 2017).

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to (N, classes).
    images : Tensor, shape (N, C, x, y, z)
        Scans on the working grid.
    target : int or Tensor, shape (N,)
        Class to explain, one for all scans or one each. Its output is the relevance to begin with.
    rule : str
        One rule for all layers, with (x)+ and (x)- for the positive and the negative part of x:

        - ``alpha1_beta0``, ``alpha2_beta1``:
          R_j = sum_k (alpha (a_j w_jk)+ / sum_j (a_j w_jk)+ - beta (a_j w_jk)- / sum_j (a_j w_jk)-) R_k;
        - ``z_plus``: the same as ``alpha1_beta0``, under the name that deep Taylor decomposition gave it;
        - ``epsilon``: R_j = sum_k a_j w_jk / (sum_j a_j w_jk + epsilon sign) R_k;
        - ``gamma``: as ``epsilon``, with w_jk + gamma (w_jk)+ for w_jk (generalised to negative inputs and sums).

        Or a composite of them, ``epsilon`` in linear layers and another rule in convolutions:

        - ``epsilon_plus``: ``z_plus`` in convolutions;
        - ``epsilon_plus_flat``: the same, but the first convolution shares equally among the voxels that it reads;
        - ``epsilon_gamma_box``: ``gamma`` in convolutions; in the first, whose inputs are scans in 0..1, each term
          a_j w_jk is a_j w_jk - (w_jk)-, what speaks for unit k beyond the intensity that speaks least for it.

        The last two give relevance to voxels of intensity 0 as well, those around the brain among them.
    epsilon : float
        Added to the denominators of the rule, away from zero.
    gamma : float
        Weight of the positive contributions in the rule ``gamma``, alone or in a composite.
    batch_norm : {"merge", "pass"}
        ``merge``: scale and shift of a batch norm, constants in evaluation mode, become part of the weights and bias of
        the convolution or linear layer before it, or else behind it if no zeros are laid around its inputs; a channel
        of negative scale thereby changes the sign of its weights. Where there is neither, as in a DenseNet, a batch
        norm is a layer of one weight for each channel, by ``rule``, or by ``epsilon`` if biases are ignored. ``pass``:
        relevance goes through a batch norm unchanged, and is shared by the weights as they were before it, as in Böhle
        et al. 2019. The two give different maps of one model. ``merge`` is the default because its map depends on the
        function that the network computes, not on how that function is written down.
    bias : bool
        Whether biases, merged shifts included, take their share of the relevance. If not, they are ignored, as in
        Böhle et al. 2019, and a map sums to the target's output, less what reached units that no input speaks for.
        Ignoring them suits the rules that divide by sums of one sign. ``epsilon``, ``gamma`` and the composites divide
        by sums of both, which without the biases that keep a unit active nearly vanish now and then: set this for them.
        With it, and as epsilon goes to 0, ``epsilon`` is gradient * input in networks of ReLUs and max-poolings
        (Ancona et al. 2018), of gates too if these are held constant.

    Returns
    -------
    Tensor, shape (N, C, x, y, z)
        Signed and unscaled, of the type of ``images``.

    Raises
    ------
    StudyError
        If relevance reaches something that it is not known to pass (a norm by the spread of a scan, attention, another
        product or quotient of features), if the network does not end in logits or cannot be followed, if a margin
        cannot be explained by the last weights, or if an option has no such value.

    References
    ----------
    Bach et al. 2015 (doi:10.1371/journal.pone.0130140); gamma: Montavon et al. 2019
    (doi:10.1007/978-3-030-28954-6_10); flat: Lapuschkin et al. 2019 (doi:10.1038/s41467-019-08987-4); box: Montavon
    et al. 2017 (doi:10.1016/j.patcog.2016.11.008); composites: Kohlbrenner et al. 2020 (arXiv:1910.09840); epsilon as
    gradient * input: Ancona et al. 2018 (arXiv:1711.06104); gates: Arras et al. 2017 (arXiv:1706.07206); the group's
    earlier conventions: Böhle et al. 2019 (doi:10.3389/fnagi.2019.00194); zennit: Anders et al. 2021
    (arXiv:2106.13200).
    """
    # Here, because zennit imports torchvision, which takes seconds that other methods need not wait for.
    from heatproof.attribute.propagation import steps_back

    outputs, steps = steps_back(
        model, images, rule=rule, epsilon=epsilon, gamma=gamma, batch_norm=batch_norm, bias=bias
    )
    require_logits(outputs, len(images))
    for number, relevance in walk_back(steps, len(steps), outputs * one_hot(outputs, target)):
        del steps[number:]  # with what they kept of the way up
        heatmaps = relevance
    return heatmaps
