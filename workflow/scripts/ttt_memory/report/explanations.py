"""The fixed explanations of the report. Text with numbers is in `wording` and `verdicts`."""

from ..vocabulary import LEVELS

LEAD = """\
A model processes a dialogue while some of its layers write what they see into their own weights.
Then the dialogue is dropped, text and KV cache. How much of it can the model still answer?"""

FIRST_DIALOGUE = """\
The first dialogue of the benchmark that the verdict is of, in English if it has such, and the first
question about it: no one has chosen it. The answers are those of the first training seed."""

PAIRED = """\
Both conditions of a pair answer the same probes, those of the verdict. The p value is that of a
sign-flip permutation test over skeletons. It is two-sided and not corrected for the number of
tests. The smallest possible p is 1 / (permutations + 1), and about 2 / 2^s with s skeletons."""

CATEGORY = """\
A probe counts once for each fact that it requires, in the category of that fact. All levels are
taken together. On level 3 the context of A holds a distractor, which B was not given."""

POSITION = """\
The figure and the first table divide probes by the third of the dialogue that holds the value of
the (first) required fact. All levels are taken together. The second table divides probes by their
order, on levels 1 and 3, as published."""

DISTRACTOR = """\
This section is about level 3 only, in the split of the verdict. For B the dialogue was written. For
D the dialogue was written and then the distractor of the sample, which is unrelated text. A has
both in context. EM(D)/EM(B) is measured on the same probes."""

HELD_OUT = """\
*New values*: no value of the dialogue occurs in training. *New question wording*: the dialogue and
its values are of the training's kind, the wording of the questions is not. *New skeletons*: the
wording of the dialogue does not occur in training. *All new*: none of the three does. Some
questions share no word with the passage that answers them. The wording alone does not tell what
they ask for, so they have lines of their own. Levels 1 and 2 only."""

LEVELS_AND_SPLITS = f"""\
Every level in every split. The levels are {
    "; ".join(f"{level}, {name}" for level, name in LEVELS.items())
}.
EM(A) and EM(B) are of the same text but for level 3: there A has the dialogue and a distractor in
its context, and the last column but one divides EM(D) by EM(A), since D has written both."""

OUTCOMES = """\
On level 4 a value is changed later. The answer may be the *latest* value, which is right, the *old*
one, or *neither*. On level 5 the question names whose value it asks for. The answer may be the
person's *own* value, which is right, the *other* person's, or *neither*. The *variant* says where
the other value stands. Only probes that have such a wrong answer are counted, in the split of the
verdict."""

REFUSALS = """\
On level 6 nothing answers the question, and the right answer is a fixed phrase. A *false answer*
is any other answer to such a question. A *false refusal* is that phrase in answer to a question
that can be answered. With C and W the model was not told the answer, so a refusal is right whatever
the question: their share of refusals should be high. Their EM counts level 6 only as right."""

COMPOSITION = """\
A *bridge* question names one fact by means of another fact. A *pair* question asks for two values
at once. *Single* questions are those of levels 1 and 3."""

NORMS = """\
The Frobenius norm of what was written, divided by the norm of the layer's weights, for each
layer."""

TRAINING = """\
Curves show medians over consecutive training steps. The inner norm is the size of the write
relative to the weights, averaged over layers. It is measured in training steps that write."""

ATTRIBUTION = """\
Below the baseline run are the runs that change one thing of it. The last lines are the other
regimes. The last column lists every key of the configuration in which a run differs from the
baseline, so it shows whether one thing was changed. Differences are tested on the probes that both
runs answered, by sign flips over skeletons. The p values are two-sided and corrected for the number
of tests of the second table (Holm). They do not cover the chance in training: that shows in the
intervals, if the runs have several seeds."""

EXAMPLES = """\
Six dialogues of each run, in the split of the verdict, by a fixed rule: the two with the fewest
wrong answers of B, two in the middle, and the two with the most. Of equally good ones a digest of
the name decides. An alternative is shown at the middle one of its settings. The answers are those
of the first training seed, as the model gave them. The darker a word, the more of it the write gate
lets through (mean over layers); without shading the run has no gate. The distractor of level 3 is
left out. `index.html` has the dialogues."""

EFFICIENCY = """\
EM(B)/EM(A) of one model can be high because its training has made EM(A) low. So EM of the memory
is also divided by EM(A) of other runs: of the untouched base, and of the base trained with the
dialogue in context alone for as many steps, where the configuration has these runs. Levels 1 and 2
divide EM(B). Level 3 divides EM(D), since D has written the distractor that A has in its
context."""

BENCHMARK = """\
The benchmark is generated. The card beside the benchmark file has lengths and examples."""
