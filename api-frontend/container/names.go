package container

import (
	"math/rand/v2"
	"strconv"
)

// adjectives and surnames make the names of containers that were given none, in Docker's manner.
var adjectives = [...]string{
	"admiring", "adoring", "affectionate", "agitated", "amazing", "awesome", "beautiful", "blissful", "bold", "boring",
	"brave", "busy", "charming", "clever", "compassionate", "competent", "condescending", "confident", "cool", "cranky",
	"crazy", "dazzling", "determined", "distracted", "dreamy", "eager", "ecstatic", "elastic", "elated", "elegant",
	"eloquent", "epic", "exciting", "fervent", "festive", "flamboyant", "focused", "friendly", "frosty", "funny",
	"gallant", "gifted", "goofy", "gracious", "great", "happy", "hardcore", "heuristic", "hopeful", "hungry",
	"infallible", "inspiring", "intelligent", "interesting", "jolly", "jovial", "keen", "kind", "laughing", "loving",
	"lucid", "magical", "modest", "musing", "mystifying", "naughty", "nervous", "nice", "nifty", "nostalgic",
	"objective", "optimistic", "peaceful", "pedantic", "pensive", "practical", "priceless", "quirky", "quizzical", "recursing",
	"relaxed", "reverent", "romantic", "serene", "sharp", "silly", "sleepy", "stoic", "strange", "stupefied",
	"suspicious", "sweet", "tender", "thirsty", "trusting", "unruffled", "upbeat", "vibrant", "vigilant", "vigorous",
	"wizardly", "wonderful", "xenodochial", "youthful", "zealous", "zen",
}

var surnames = [...]string{
	"agnesi", "albattani", "archimedes", "ardinghelli", "babbage", "banach", "banzai", "bardeen", "bartik", "bassi",
	"bell", "benz", "bhabha", "bhaskara", "blackburn", "blackwell", "bohr", "booth", "borg", "bose",
	"boyd", "brahmagupta", "brattain", "brown", "buck", "burnell", "cannon", "carson", "cartwright", "carver",
	"cerf", "chandrasekhar", "chaplygin", "chatelet", "chebyshev", "clarke", "cohen", "colden", "cori", "cray",
	"curie", "curran", "darwin", "davinci", "diffie", "dijkstra", "dirac", "driscoll", "dubinsky", "easley",
	"edison", "einstein", "elbakyan", "elgamal", "elion", "engelbart", "euclid", "euler", "faraday", "fermat",
	"fermi", "feynman", "franklin", "gagarin", "galileo", "galois", "ganguly", "gates", "gauss", "germain",
	"goldberg", "goldstine", "goldwasser", "golick", "goodall", "gould", "greider", "grothendieck", "haibt", "hamilton",
	"hawking", "heisenberg", "hellman", "hermann", "herschel", "hertz", "heyrovsky", "hodgkin", "hofstadter", "hoover",
	"hopper", "hugle", "hypatia", "jackson", "jang", "jennings", "jepsen", "johnson", "joliot", "jones",
	"kalam", "kapitsa", "kare", "keldysh", "keller", "kepler", "khayyam", "khorana", "kilby", "kirch",
	"knuth", "kowalevski", "lalande", "lamarr", "lamport", "leakey", "leavitt", "lederberg", "lehmann", "lewin",
	"lichterman", "liskov", "lovelace", "lumiere", "mahavira", "margulis", "matsumoto", "maxwell", "mayer", "mccarthy",
	"mcclintock", "mclean", "mcnulty", "meitner", "mendel", "mendeleev", "meninsky", "merkle", "mestorf", "mirzakhani",
	"montalcini", "moore", "morse", "moser", "murdock", "napier", "nash", "neumann", "newton", "nightingale",
	"nobel", "noether", "northcutt", "noyce", "panini", "pare", "pascal", "pasteur", "payne", "perlman",
	"pike", "poincare", "poitras", "proskuriakova", "ptolemy", "raman", "ramanujan", "rhodes", "ride", "ritchie",
	"robinson", "roentgen", "rosalind", "rubin", "saha", "sammet", "sanderson", "satoshi", "shamir", "shannon",
	"shaw", "shirley", "shockley", "shtern", "sinoussi", "snyder", "solomon", "spence", "stonebraker", "sutherland",
	"swanson", "swartz", "swirles", "taussig", "tesla", "tharp", "thompson", "torvalds", "tu", "turing",
	"varahamihira", "vaughan", "villani", "visvesvaraya", "volhard", "wescoff", "wilbur", "wiles", "williams", "williamson",
	"wilson", "wing", "wozniak", "wright", "wu", "yalow", "yonath", "zhukovsky",
}

// randomNameLocked makes up a free name. The engine's mutex is held.
func (e *Engine) randomNameLocked() string {
	for try := 0; ; try++ {
		name := adjectives[rand.IntN(len(adjectives))] + "_" + surnames[rand.IntN(len(surnames))]
		if name == "boring_wozniak" { // Steve Wozniak is not boring.
			continue
		}
		if try > 4 {
			name += strconv.Itoa(rand.IntN(10_000))
		}
		if _, taken := e.names[name]; !taken {
			return name
		}
	}
}
