"""The words that tell how a docstring opens: with a command, a noun, or something else."""

# Imperatives. Any other word at the start is taken for a noun.
_VERBS = """
accept access acquire activate adapt add adjust advance align allocate allow alter
analyze announce append apply arrange ask assert assign associate attach authenticate
begin bind block build calculate call cancel capture change check choose classify
clean clear close collapse collect combine comment compare compile compose compress
compute concatenate configure connect construct consume convert copy count create
customize cut deactivate debug decide decode decompress decrement decrypt dedent defer
define delegate delete deliver dequeue describe deserialize destroy detach detect
determine disable disassemble discard disconnect dispatch display divide do download
draw drop dump emit empty emulate enable encode encrypt end enhance enqueue ensure
enter enumerate escape establish estimate evaluate examine execute exit expand export
express extend extract fail feed fetch fill filter finalize find finish flatten flush
fold force format forward free generate get give go grow guess handle hide highlight
identify ignore implement import include increase increment indent indicate infer
inform initialise initialize insert inspect install instantiate interpret intersect
invalidate invert invoke issue iterate join jump keep kill launch leave let limit link
list listen load locate lock log look lower make manage map mark marshal match measure
merge mix modify monitor move multiply negate normalize notify obtain offer open order
output override pack pad parse partition pass paste patch pause peek perform pick
place play pop populate post prepare prepend preprocess preserve prevent print probe
process produce prompt propagate protect provide prune pull push put query queue quit
quote raise read rebuild receive recognize record recover redirect reduce refactor
refresh register reject release reload remember remove rename render repeat replace
report represent request require reset resize resolve restart restore restrict resume
retrieve return reverse revert rewind rotate round route run sample save scale scan
schedule scroll search seek select send separate serialize serve set setup shift show
shuffle shut shutdown signal simplify simulate skip sleep sort spawn split squash
start stop store strip submit subscribe subtract suggest sum support suppress suspend
swap switch synchronize take tell terminate test toggle tokenize touch trace track
train transfer transform translate traverse trim truncate try turn unbind undo
uninstall unlink unlock unmap unmarshal unpack unquote unregister update upgrade
upload use validate verify visit wait wake walk warn wrap write yield zip
"""

# Nouns that open a description without an article: "Wrapper around …", "Class for …".
_NOUNS = """
adapter builder class codec collection container context coroutine decoder decorator
encoder error exception factory formatter function generator handler helper
implementation instance interface iterator library loader manager mapping message
metaclass method mixin object parser proxy reader subclass thread tuple type variant
version warning widget wrapper writer
"""

VERBS = frozenset(_VERBS.split())
NOUNS = frozenset(_NOUNS.split())
ARTICLES = frozenset({"a", "an", "the", "one", "another"})

# Openings that are neither, and how each continues "`name` …".
OPENINGS = {
    "same": "is the same",
    "like": "is like",
    "equivalent": "is equivalent",
    "similar": "is similar",
    "called": "is called",
    "raised": "is raised",
    "used": "is used",
    "true": "is true",
    "base": "is the base",
    "abstract": "is an abstract",
    "alias": "is an alias",
    "represents": "represents",
    "implements": "implements",
    "encapsulate": "encapsulates",
    "encapsulates": "encapsulates",
}
