"""How one dialogue is made.

1. `values` draws a value of a type, such as a price, from a `grammar` in `data/values_*.yaml`.
2. `skeletons` are hand-written dialogues; `filled` gives them values, states their facts and asks
   their questions. The benchmark and a part of the training dialogues are made so.
3. For synthetic dialogues, `plan` draws facts from `families` (ways to state and ask a fact) and
   `fragments` (a few hand-written turns), and `composer` writes them as turns and questions.
4. `story` tells such dialogues as the sessions of one sample and changes values later on. What
   stands around changes and questions comes from `frames`. `lessons` makes training samples so.
5. All write into a `draft`. It gives the sample, or nothing if a question would be ambiguous.
   `grounding` tells whether a question shares words with the turn that answers it.
"""
