"""The story grammar: everything the default model ever reads is written here.

A document is a list of parts, each a (role, text) pair; `render` turns it into the exact string
that is tokenised.  All randomness comes from one `random.Random`, so a seed fixes the corpus.

The world is small on purpose.  Its characters are animals that are called by their kind ("the
fox"), the pronoun of a kind never changes, and each plot has two characters and at most one
thing, so that a model of two million parameters can learn to keep hold of all of them.
"""
import argparse
import random
import re
import zlib
from dataclasses import dataclass, field

BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"
USER, ASSISTANT, END_OF_TURN = "<|user|>", "<|assistant|>", "<|end_of_turn|>"
SPECIAL_TOKENS = [BOS, EOS, USER, ASSISTANT, END_OF_TURN]

# kind: (m or f, the places it may live in, what it eats)
KINDS = {
    "fox": ("m", "forest meadow snow", "berries"), "bear": ("m", "forest mountain river", "honey"),
    "rabbit": ("f", "forest meadow garden", "carrots"), "deer": ("f", "forest meadow", "grass"),
    "owl": ("f", "forest mountain village", "seeds"), "squirrel": ("m", "forest garden", "nuts"),
    "mouse": ("f", "forest farm garden village", "cheese"), "wolf": ("m", "forest mountain snow", "soup"),
    "badger": ("m", "forest meadow", "roots"), "hedgehog": ("m", "forest garden meadow", "apples"),
    "raccoon": ("m", "forest village river", "corn"), "beaver": ("m", "river pond", "bark"),
    "otter": ("f", "river beach", "fish"), "frog": ("m", "pond river garden", "flies"),
    "duck": ("f", "pond farm river", "bread"), "turtle": ("m", "pond beach island", "leaves"),
    "swan": ("f", "pond river", "grass"), "goose": ("f", "farm pond", "corn"),
    "snail": ("m", "garden pond", "leaves"), "bee": ("f", "garden meadow", "nectar"),
    "butterfly": ("f", "garden meadow", "nectar"), "bird": ("m", "garden forest village", "seeds"),
    "cow": ("f", "farm meadow", "grass"), "pig": ("m", "farm village", "apples"),
    "hen": ("f", "farm village", "corn"), "sheep": ("f", "farm mountain meadow", "grass"),
    "lamb": ("m", "farm meadow", "grass"), "goat": ("m", "farm mountain", "hay"),
    "horse": ("m", "farm meadow", "hay"), "donkey": ("m", "farm village", "hay"),
    "dog": ("m", "farm village beach", "bones"), "cat": ("f", "farm village garden", "fish"),
    "puppy": ("m", "village farm", "bones"), "kitten": ("f", "village garden", "fish"),
    "monkey": ("m", "jungle island", "bananas"), "lion": ("m", "jungle", "soup"),
    "tiger": ("m", "jungle", "soup"), "elephant": ("f", "jungle river", "leaves"),
    "giraffe": ("f", "jungle", "leaves"), "panda": ("f", "jungle mountain", "leaves"),
    "parrot": ("m", "jungle island", "seeds"), "crab": ("m", "beach island", "shells"),
    "seal": ("m", "beach snow", "fish"), "penguin": ("m", "snow", "fish"),
    "dragon": ("m", "mountain island", "soup"), "unicorn": ("f", "meadow mountain", "apples"),
}
# place: (where the hero lives, how the place is called, where things lie, what one walks along)
PLACES = {
    "forest": ("in a {quiet|green|deep} forest", "in the forest", "under a pile of leaves,behind an old tree,inside a hollow log,beside a mossy rock", "path between the trees"),
    "farm": ("on a {small|sunny|busy} farm", "on the farm", "behind the red barn,under the hay,near the old well,beside the wooden fence", "road past the barn"),
    "river": ("by a {wide|slow|cool} river", "by the river", "under the little bridge,between two stones,in the tall reeds,beside the muddy bank", "path along the water"),
    "pond": ("near a {small|quiet|round} pond", "near the pond", "under a green leaf,in the soft mud,behind the tall grass,beside a flat stone", "trail around the water"),
    "beach": ("near a {sunny|sandy|windy} beach", "at the beach", "under a blue umbrella,behind a sand hill,beside an old boat,under the warm sand", "path to the sea"),
    "mountain": ("on a {tall|snowy|rocky} mountain", "on the mountain", "in a small cave,behind a gray rock,beside a cold stream,under a pine tree", "trail down the hill"),
    "garden": ("in a {pretty|sunny|little} garden", "in the garden", "behind the rose bush,inside a flower pot,beside the green gate,under the bean plants", "stone path past the flowers"),
    "village": ("in a {small|quiet|friendly} village", "in the village", "behind the bakery,under a wooden cart,beside the fountain,near the school gate", "lane past the houses"),
    "meadow": ("in a {green|sunny|wide} meadow", "in the meadow", "in the tall grass,under a yellow flower,behind a round stone,next to a tiny stream", "path through the grass"),
    "snow": ("in a land of {ice|snow}", "in the snow", "behind a hill of snow,under a block of ice,beside a frozen lake,near a tall white rock", "trail through the snow"),
    "island": ("on a {tiny|green|sunny} island", "on the island", "under a palm tree,behind a pile of shells,in a small cave,beside a clear spring", "path around the shore"),
    "jungle": ("in a {warm|green|noisy} jungle", "in the jungle", "under a huge leaf,behind a tall tree,beside a waterfall,under a pink flower", "trail through the vines"),
}
TRAITS = "little small young brave kind shy clever gentle curious cheerful friendly quiet playful silly happy hungry sleepy polite proud careful".split()
FRIEND_TRAITS = "wise old kind tall clever gentle friendly big strong cheerful".split()
NAMES = {"m": "Tom Ben Max Leo Sam Finn Toby Milo Jack Theo Oscar Pip".split(),
         "f": "Mia Lily Rosa Anna Ruby Daisy Nora Ella Luna Poppy Molly Bella".split()}
COLORS = "red blue green yellow white silver".split()
TOYS = "ball kite boat drum hat scarf bell train button book key shell doll wagon".split()
FOODS = "apple pie,loaf of bread,honey cake,basket of berries,bowl of soup,bag of nuts,jar of honey,plate of cookies,carrot cake".split(",")
HOBBIES = "sing,dance,swim,count the stars,read books,pick flowers,look at the clouds,collect stones,tell stories,help others,draw pictures,watch the rain".split(",")
FIRST_DAYS = "One day,One morning,One sunny day,One afternoon,One cold day,One evening".split(",")
NEXT_DAYS = "The next day,The next morning,A few days later,One week later,The day after that,Some time later".split(",")

OPENINGS = [
    "Once upon a time, there was <aN>. <He> lived <home>.", "Once upon a time, there was <aN>. <He> lived <home>.",
    "Once upon a time, <aN> lived <home>.", "There once was <aN> who lived <home>.",
    "Long ago, <aN> lived <home>.", "<Home>, there lived <aN>.", "<aN> lived <home>.",
]
HABITS = ["<N> {loved|liked} to <hobby>.", "Every day, <he> liked to <hobby>.", "<He> {loved|liked} to <hobby> and <hobby2>."]
SAD = ["<N> {felt|was} {sad|very sad|worried}.", "<He> sat down and {began to cry|did not know what to do}.",
       "\"Oh no!\" {said|cried} <N>. \"What can I do?\""]
MEET = ["{Just then|Soon|After a while|A little later}, <aF> {came by|walked by|stopped}.", "{Just then|Soon|After a while}, <N> {met|saw} <aF>."]
ASK = ["\"{What is wrong|What happened|Why are you sad}?\" asked <F>.", "\"Can I help you?\" asked <F>."]
THANK = ["\"Thank you, <fk>!\" said <N>.", "<N> {smiled|laughed} and thanked <F>.",
         "<N> hugged <F> and said, \"{You are a true friend|Thank you for helping me}!\""]
ENDINGS = ["", "", "", "The end.", "And they lived happily ever after."]


@dataclass(frozen=True)
class Plot:
    """One kind of story: `draws` fills its slots, `beats` are its sentences in order.

    A key of `draws` may name several slots ("what,where"), each option then being a tuple.
    `who` completes "a fox ..." when a reader asks for exactly this plot.
    """
    who: str
    draws: dict
    beats: list
    questions: list = field(default_factory=list)


PLOTS = [
    Plot("who lost a <color> <toy>", {"color": COLORS, "toy": TOYS}, [
        "<N> had a <color> <toy>. <He> {loved it very much|took it everywhere}.",
        "<Day>, the <toy> was gone.", SAD,
        "<He> looked <spot1>, but it was not there. {<He> looked <spot2>, but it was not there.|}",
        MEET, ASK, "\"I lost my <color> <toy>,\" said <N>.",
        "\"{Do not worry|Do not cry},\" said <F>. \"{We can look together|I will help you find it}.\"",
        "They looked {all around|everywhere}. {At last|Then}, <F> found the <toy>. It was <spot3>!", THANK,
        "{After that|From that day on}, <N> {always kept the <toy> close|took good care of the <toy>}."],
        [("What did <N> lose?", "<N> lost a <color> <toy>."), ("Where was the <toy>?", "The <toy> was <spot3>."),
         ("Who found the <toy>?", "<F> found the <toy>."), ("What color was the <toy>?", "The <toy> was <color>.")]),
    Plot("who got lost", {"guide": "the moon,the bright stars,the sound of the water,the big tree,the little footprints".split(",")}, [
        "<Day>, <N> {went for a long walk|went to pick flowers|followed a yellow leaf}. <He> went too far from home.",
        "{Soon it was dark|The sky grew dark}, and <N> could not find the <path>.", SAD, MEET, ASK,
        "\"I am lost,\" said <N>. \"I want to go home.\"",
        "\"{Do not be afraid|Stay close to me},\" said <F>. \"We can follow <guide>.\"",
        "They followed <guide>, step by step. {<F> sang a soft song.|<F> told a funny story.|}",
        "{At last|Soon}, <N> saw <his> home. {It looked warm and safe.|}", THANK,
        "{That night, <N> slept well.|After that, <N> never went so far alone.}"],
        [("What did they follow?", "They followed <guide>."), ("Who helped <N>?", "<F> helped <N>.")]),
    Plot("who had a <color> <toy>", {"color": COLORS, "toy,where,fix": [
        ("kite", "in a tall tree", "climbed up and pulled the string"), ("ball", "in a deep hole", "used a long rope to pull it up"),
        ("hat", "on a high roof", "brought a ladder and climbed up"), ("boat", "in the middle of the water", "used a long branch to pull it back"),
        ("scarf", "on a thorn bush", "lifted it gently")]}, [
        "<Day>, <N> was playing with <his> <color> <toy>.",
        "{A strong wind came|The wind blew hard}, and the <toy> got stuck <where>.",
        "<N> tried {and tried|again and again}, but <he> could not get it.", SAD, MEET, ASK,
        "\"My <toy> is stuck <where>,\" said <N>.",
        "\"I have an idea,\" said <F>. <Fhe> <fix>. {It worked!|Soon the <toy> was free.}", THANK,
        "They played with the <color> <toy> until {the sun went down|it was time for dinner}."],
        [("What was stuck?", "The <color> <toy> was stuck."), ("Where was the <toy>?", "The <toy> was stuck <where>."),
         ("Who got the <toy> back?", "<F> got the <toy> back.")]),
    Plot("who was afraid of <fear>", {"fear,trick,proof": [
        ("the dark", "look at the stars", "the dark was not so bad"), ("thunder", "sing a loud song", "the thunder was only noise"),
        ("deep water", "go in slowly", "the water was cool and nice"), ("high places", "look straight ahead", "the view was beautiful"),
        ("the old cave", "carry a little lamp", "the cave was full of shiny stones")]}, [
        "<N> was {very afraid|afraid} of <fear>. {<He> did not tell anyone.|}",
        "<Day>, {<his> friends went out to play, but <N> stayed at home|<N> stayed at home again}.", SAD, MEET, ASK,
        "\"I am afraid of <fear>,\" said <N>.",
        "\"{I was afraid once too|Everyone is afraid sometimes},\" said <F>. \"You can <trick>.\"",
        "{That evening|Later}, <N> tried it. {<He> took a deep breath.|At first, <his> legs shook.} But then <he> saw that <proof>.",
        "\"I did it!\" {said|shouted} <N>.", THANK,
        "<N> was not afraid of <fear> any more."],
        [("What was <N> afraid of?", "<N> was afraid of <fear>."), ("Who helped <N>?", "<F> helped <N>.")]),
    Plot("who shared a <food>", {"food": FOODS}, [
        "<Day>, <N> {made|was given} a <food>. It {smelled|looked} {wonderful|so good}.",
        "<He> was just about to eat it.", MEET,
        "<F> looked {hungry|tired and hungry}. \"I have not eaten all day,\" said <F>.",
        "<N> looked at the <food>. {There was not very much.|<He> was hungry too.} \"{Please sit with me|We can share it},\" <he> said.",
        "<N> and <F> ate the <food> together and {talked|laughed} {for a long time|until the sun went down}.",
        "\"{You are very kind|That was so good},\" said <F>. \"{You are a true friend|Now I feel much better}.\"",
        "<N> learned that {sharing makes two hearts happy|food tastes better with a friend}."],
        [("What did <N> share?", "<N> shared a <food>."), ("Who was hungry?", "<F> was hungry.")]),
    Plot("who fixed a <thing>", {"thing,stuff": [("bridge", "wood and rope"), ("boat", "wood and nails"), ("fence", "sticks and string"),
                                                 ("roof", "straw and mud"), ("cart", "a new wheel"), ("swing", "a strong rope")]}, [
        "<Day>, <N> saw that the old <thing> was broken.",
        "<He> tried to fix it alone, but {it was too heavy|it fell apart again}.", SAD, MEET, ASK,
        "\"The <thing> is broken, and I cannot fix it alone,\" said <N>.",
        "\"Then we will do it together,\" said <F>. \"We need <stuff>.\"",
        "<N> {found|brought} <stuff>, and <F> {did the hard part|showed <him> what to do}. They worked {until noon|all day}.",
        "{At last|In the end}, the <thing> was {as good as new|strong again}.", THANK,
        "They were tired, but they were happy."],
        [("What was broken?", "The <thing> was broken."), ("What did they need?", "They needed <stuff>."), ("Who helped <N>?", "<F> helped <N>.")]),
    Plot("who had a birthday", {"food": ["honey cake", "carrot cake", "apple pie", "big round cake"]}, [
        "<Day>, it was <Ns> birthday, but nobody said a word.",
        "<N> went to see <aF>, but <F> {was not at home|was too busy to talk}.", SAD,
        "\"{Everyone forgot my birthday|Nobody remembers me},\" said <N>.",
        "In the evening, <N> walked home. It was dark and quiet.",
        "\"Surprise!\" shouted a happy voice. It was <F>, with a <food>!",
        "\"Happy birthday, <call>!\" said <F>. {\"We did not forget you.\"|\"I made a <food> for you.\"}", THANK,
        "<N> and <F> {danced|sang|played games} and ate the <food>. It was the best birthday ever."],
        [("Whose birthday was it?", "It was <Ns> birthday."), ("What did <F> make?", "<F> made a <food>.")]),
    Plot("who wanted to <skill>", {"skill,hint": [
        ("swim", "kick your legs slowly"), ("dance", "listen to the music"), ("sing", "start with a soft note"), ("whistle", "make your lips round"),
        ("climb", "hold on with both hands"), ("paint", "begin with one small line"), ("read", "say one letter at a time"), ("skate", "bend your knees a little")]}, [
        "<N> wanted to learn to <skill>. {All <his> friends could <skill>.|}",
        "<Day>, <he> tried {again and again|many times}, but {it was too hard|<he> could not do it}.", SAD, MEET, ASK,
        "\"I want to <skill>, but I cannot do it,\" said <N>.",
        "\"{Do not give up|Learning takes time},\" said <F>. \"Try again, and <hint>.\"",
        "So <N> tried again while <F> watched. {Day by day|Little by little|Slowly}, <he> got better.",
        "{At last|Then one day}, <N> could <skill>! <F> {clapped and cheered|was very proud}.", THANK,
        "<N> learned that {hard things take time|you should never give up}."],
        [("What did <N> want to learn?", "<N> wanted to learn to <skill>."), ("Who helped <N> to <skill>?", "<F> helped <N>.")]),
    Plot("who had a guest", {"gift": ["a warm blanket", "a bowl of hot soup", "a cup of hot tea", "a place by the fire"]}, [
        "<Day>, a {big|terrible|wild} storm came. {The wind roared.|Cold rain fell.}",
        "<N> was {safe and warm at home|sitting by the fire}. Then <he> heard a {soft|small} knock on the door.",
        "It was <aF>. <Fhe> was {wet and cold|shaking with cold}. \"The storm broke my house,\" said <F>.",
        "\"Come in!\" said <N>. \"{There is room for both of us|You can stay with me}.\"",
        "<N> gave <F> <gift>. {They listened to the wind until they fell asleep.|They told stories all night.}",
        "In the morning, the {sun was shining|sky was blue again}. <N> helped <F> build a new house.",
        "\"{I will never forget this|You are a true friend},\" said <F>.",
        "After that, <N> and <F> {were best friends|visited each other every week}."],
        [("Who came to the door?", "<F> came to the door."), ("What did <N> give to <F>?", "<N> gave <F> <gift>.")]),
    Plot("who took care of a friend", {"food": ["hot soup", "warm milk", "lemon tea", "fresh bread"]}, [
        "<N> had a good friend. It was <aF>.",
        "<Day>, <F> did not come to play. <N> waited {and waited|all morning}.",
        "<N> went to see <fhim>. <F> was in bed. \"{I am sick|My head hurts},\" said <F>.",
        "\"I will take care of you,\" said <N>. <He> brought some <food> for <F>.",
        "Every day, <N> came back {with more <food>|with a smile}.",
        "{After three days|Slowly}, <F> began to feel better. {Soon <fhe> could run and play again.|}",
        "\"{You made me well|Thank you for taking care of me},\" said <F>.",
        "<N> smiled. \"That is what friends are for,\" <he> said."],
        [("Who was sick?", "<F> was sick."), ("What did <N> bring?", "<N> brought some <food>.")]),
    Plot("who had a seed", {"plant": ["sunflower", "pumpkin", "apple tree", "rose", "bean plant"]}, [
        "<Day>, <aF> gave <N> a {tiny|small|brown} seed. \"{Plant it and wait|Take good care of it},\" said <F>.",
        "<N> planted the seed {in the ground|in a sunny place}. <He> gave it water every day.",
        "But nothing {happened|grew}. <N> {was|felt} {sad|worried}. \"It will never grow,\" <he> said.",
        "\"{Good things take time|Be patient},\" said <F>. \"Wait a little longer.\"",
        "So <N> waited. {The rain fell, and the sun shone.|<He> sang to the seed every morning.} {Then one morning|At last}, a tiny green leaf came out of the ground!",
        "It grew and grew until it was a {beautiful|tall|fine} <plant>.", THANK,
        "<N> learned {to be patient|that good things take time}."],
        [("What grew?", "A <plant> grew."), ("Who gave <N> the seed?", "<F> gave <N> the seed.")]),
    Plot("who told the truth", {"color": COLORS, "thing": "vase,cup,lamp,jar,plate".split(",")}, [
        "<Day>, <N> was playing in the house of <aF>. Crash! A <color> <thing> fell down and broke.",
        "Nobody saw it. <N> {wanted to run away|went home and said nothing}.",
        "That night, <he> {could not sleep|felt bad inside}.",
        "In the morning, <N> went to <F>. \"I am sorry,\" said <N>. \"I broke your <color> <thing>.\"",
        "<F> {was quiet for a moment|looked at <N>}. Then <fhe> smiled. \"{Thank you for telling me the truth|I am not angry},\" said <F>.",
        "They fixed the <thing> together.",
        "<N> felt {light and happy|much better}. <He> learned that it is always best to tell the truth."],
        [("What did <N> break?", "<N> broke a <color> <thing>."), ("Whose <thing> was it?", "The <thing> belonged to <F>.")]),
    Plot("who was lonely", {"game": ["hide and seek", "tag", "ball", "a singing game"]}, [
        "<N> was new <in>. <He> had no friends yet.",
        "Every day, <he> {watched the others play|sat alone}. <He> was {sad|too shy to ask}.",
        "<Day>, <N> saw <aF>. <F> was {sitting alone too|all alone}.",
        "<N> took a deep breath. \"{Hello|Hi},\" <he> said. \"Would you like to play <game>?\"",
        "<F> smiled. \"{Yes, I would love to|I was hoping someone would ask},\" <fhe> said.",
        "They played <game> {all day|until dinner|until the stars came out}.",
        "\"{You are my first friend|I am so glad we met},\" said <N>.",
        "{From then on|After that day}, <N> and <F> {played together every day|were never lonely again}."],
        [("What did they play?", "They played <game>."), ("Who did <N> meet?", "<N> met <F>.")]),
    Plot("who had a fight with a friend", {"color": COLORS, "toy": TOYS}, [
        "<Day>, <N> was walking with <aF>. They {found|saw} a <color> <toy>.",
        "\"The <toy> is mine!\" said <N>. \"No, I saw it first!\" said <F>.",
        "They {shouted and shouted|pulled and pulled}. Then they both went home {angry|without a word}.",
        "That night, <N> could not sleep. \"{A friend is better than a <toy>|I was not kind},\" <he> thought.",
        "In the morning, <N> went to see <F>. \"I am sorry,\" said <N>. \"{You can have the <toy>|We can share the <toy>}.\"",
        "\"I am sorry too,\" said <F>. \"{We can play with it together|We can take turns}.\"",
        "<N> and <F> {hugged and laughed|smiled at each other}. {They never had a fight again.|They were best friends again.}"],
        [("What did they find?", "They found a <color> <toy>."), ("Who said sorry first?", "<N> said sorry first.")]),
    Plot("who ran a race", {"goal": ["the big tree", "the old bridge", "the tall rock", "the top of the hill"]}, [
        "<Day>, <N> met <aF>. \"{I can run faster than you|I am the fastest of all},\" said <F>.",
        "\"Then let us have a race to <goal>,\" said <N>.",
        "One, two, three, go! <F> ran {very fast|like the wind}. Soon <fhe> was far ahead.",
        "<F> {sat down to rest|stopped to take a nap}. But <N> did not stop. <He> {went on, step by step|kept going}.",
        "When <F> {woke up|looked up}, <N> was already at <goal>. <N> won the race!",
        "\"{Well done|You were the best}, <call>,\" said <F>. \"{Next time I will not stop|I should not have stopped}.\"",
        "<N> {smiled|laughed}. \"It was fun to run with you,\" <he> said."],
        [("Who won the race?", "<N> won the race."), ("Where did they run?", "They ran to <goal>."), ("Who lost the race?", "<F> lost the race.")]),
    Plot("who fell into <trap>", {"trap,tool": [("a deep hole", "a long rope"), ("thick mud", "a strong branch"), ("cold water", "a little boat"), ("an old well", "a ladder")]}, [
        "<Day>, <N> was {running|walking} down the <path>. <He> did not look, and <he> fell into <trap>.",
        "<He> tried {and tried|again and again}, but <he> could not get out. \"Help! Help!\" {called|shouted} <N>.",
        "{Nobody came for a long time.|The sun began to set.|}",
        "Then <aF> heard <him>. \"{Stay calm|I am coming},\" said <F>. \"I will get you out.\"",
        "<F> brought <tool>. \"{One, two, three|Hold on}!\" said <F>. {At last|Then}, <N> was free!", THANK,
        "After that, <N> always looked where <he> was going."],
        [("Where did <N> fall?", "<N> fell into <trap>."), ("What did <F> bring?", "<F> brought <tool>."), ("Who helped <N>?", "<F> helped <N>.")]),
    Plot("who made <dish>", {"dish,missing": [("a cake", "eggs"), ("a pie", "apples"), ("some bread", "flour"), ("some soup", "carrots"), ("some jam", "berries")]}, [
        "<Day>, <N> wanted to make <dish>. <He> {took out a big bowl|went to the kitchen}.",
        "But there was one problem. <He> had no <missing>!", SAD,
        "<N> went to see <aF>. \"May I have some <missing>?\" asked <N>.",
        "\"{Yes, of course|I have plenty},\" said <F>. \"{Take as much as you need|Here are some <missing>}.\"",
        "\"Come and help me,\" said <N>. So they made <dish> together.",
        "Soon the kitchen smelled {sweet|wonderful}. They ate and laughed until they were full.",
        "\"Everything is better with a friend,\" said <N>."],
        [("What did <N> make?", "<N> made <dish>."), ("What was missing?", "<N> had no <missing>."), ("Who helped <N>?", "<F> helped <N>.")]),
]

# A first reading: many meetings in few words.  It teaches the model to look names up in the text.
MINI_BEATS = [
    ["<Day>, <N> met <aF>.", "{Just then|Soon}, <aF> came by."],
    ["\"Hello, <fk>,\" said <N>. \"Hello, <call>,\" said <F>.", "<N> saw <F>, and <F> saw <N>.", "\"Hello, <call>,\" said <F>."],
    ["<N> had a <color> <toy>. <F> liked the <color> <toy>.", "<F> gave <N> a <color> <toy>.", "<N> and <F> found a <color> <toy> <spot1>."],
    ["<N> and <F> played with the <toy> <in>.", "\"You can have the <toy>,\" said <N> to <F>.", "Then <F> took the <toy> home."],
    ["<N> was happy, and <F> was happy too.", "<N> and <F> were friends.", "<N> thanked <F>, and <F> smiled."],
]
MINI = Plot("", {"color": COLORS, "toy": TOYS}, MINI_BEATS,
            [("Who did <N> meet?", "<N> met <F>."), ("What color was the <toy>?", "The <toy> was <color>."), ("What did they have?", "They had a <color> <toy>.")])

ASKS = ["Tell me a story about <ask>.", "Tell me a story about <ask>.", "Can you tell me a story about <ask>?", "Write a story about <ask>.",
        "Write a short story about <ask>.", "Please tell me a story about <ask>.", "I want to hear a story about <ask>.",
        "Tell me about <ask>.", "A story about <ask>, please.", "Do you know a story about <ask>?", "Make up a story about <ask>.", "Tell me a story about <ask>", "Write a story about <ask>"]
OPEN_ASKS = ["Tell me a story.", "Tell me a story, please.", "Can you tell me a story?", "Write a story.", "I want to hear a story.", "Another story, please."]
LEADS = ["", "", "", "", "Sure! ", "Of course! ", "Here is a story about <ak>. "]
GREETINGS = [("Hello!", "Hello! Would you like to hear a story?"), ("Hi!", "Hi! I can tell you a story. What should it be about?"),
             ("Hello", "Hello! Would you like to hear a story?"), ("Hi", "Hi! I can tell you a story. What should it be about?"),
             ("Who are you?", "I am a small storyteller. I like to tell stories about animals."),
             ("What can you do?", "I can tell you a story about an animal. Just ask!"),
             ("How are you?", "I am very well, thank you. Would you like a story?"),
             ("What is your name?", "You can call me the little storyteller."), ("Good morning!", "Good morning! What a fine day for a story.")]
FAREWELLS = [("Thank you!", "You are welcome! I am glad you liked it."), ("Thanks!", "You are welcome!"), ("I liked that story.", "I am happy to hear that! Would you like one more?"),
             ("Good night.", "Good night! Sleep well and have sweet dreams."), ("Goodbye!", "Goodbye! Come back soon for another story.")]
FACTS = [("What does <ak> eat?", "<Ak> eats <eats>."), ("What does <ak> like to eat?", "<Ak> likes to eat <eats>."), ("Where does <ak> live?", "<Ak> lives <in>.")]

CHOICE = re.compile(r"\{([^{}]*)\}")
SLOT = re.compile(r"<([A-Za-z0-9]+)>")


def held_out(trait, kind):
    """One (trait, kind) pair in ten is never the hero of a training text; the check uses only those."""
    return zlib.crc32(f"{trait} {kind}".encode()) % 10 == 0


def article(words):
    """Put "a" or "an" before the words."""
    return ("an " if words[0] in "aeiou" and not words.startswith("uni") else "a ") + words


def expand(template, slots, rng):
    """Choose among {a|b}, fill <slots>, then mend articles and capitals."""
    text = template
    while (match := CHOICE.search(text)):
        text = text[:match.start()] + rng.choice(match.group(1).split("|")) + text[match.end():]
    for _ in range(3):  # a slot's value may hold a slot or a choice again
        text = SLOT.sub(lambda m: str(slots[m.group(1)]), text)
        if (match := CHOICE.search(text)):
            text = text[:match.start()] + rng.choice(match.group(1).split("|")) + text[match.end():]
    text = re.sub(r"\b([Aa]) (?=[aeio]|un(?!i)|um)", r"\1n ", re.sub(r"\s+", " ", text)).strip()
    # Only a name in a slot can begin a sentence in lower case; `"Oh no!" said` must stay as it is.
    return re.sub(r'(^"?|[.!?]"? "?)(the|an?)\b', lambda m: m.group(1) + m.group(2).capitalize(), text)


def pronouns(gender, prefix=""):
    """The slots he, him, his, He (with a prefix: fhe, ...)."""
    he, him, his = ("he", "him", "his") if gender == "m" else ("she", "her", "her")
    return {prefix + "he": he, prefix + "him": him, prefix + "his": his, (prefix + "he").capitalize(): he.capitalize()}


class World:
    """One hero in one place, and the friends met so far: the slots that all sentences share."""

    def __init__(self, rng, opening_pair=None):
        self.rng = rng
        self.kind, self.trait = opening_pair or self._draw_hero()
        self.gender, places, self.eats = KINDS[self.kind]
        self.place = rng.choice(places.split())
        self.name = rng.choice(NAMES[self.gender]) if rng.random() < 0.15 else None
        self.friends = []
        self.slots = self._hero_slots()

    def _draw_hero(self):
        while True:
            kind, trait = self.rng.choice(list(KINDS)), self.rng.choice(TRAITS)
            if not held_out(trait, kind):
                return kind, trait

    def _hero_slots(self):
        home, inside, spots, path = PLACES[self.place]
        home = expand(home, {}, self.rng)
        who = self.name or "the " + self.kind
        intro = article(f"{self.trait} {self.kind}") + (f" named {self.name}" if self.name else "")
        slots = {"N": who, "Ns": who + "'s", "k": self.kind, "trait": self.trait, "aN": intro, "call": self.name or self.kind,
                 "home": home, "Home": home[0].upper() + home[1:], "in": inside, "path": path,
                 "ak": article(self.kind), "Ak": article(self.kind).capitalize(), "eats": self.eats}
        slots.update(pronouns(self.gender))
        slots["hobby"], slots["hobby2"] = self.rng.sample(HOBBIES, 2)
        return slots

    def _friend(self):
        """A new friend, three times in four from the same place, or (in a long story) one met before."""
        if self.friends and (len(self.friends) >= 3 or self.rng.random() < 0.5):
            kind = self.rng.choice(self.friends)
            return kind, "the " + kind
        near = [k for k, (_, places, _) in KINDS.items() if self.place in places.split()]
        pool = near if self.rng.random() < 0.75 else list(KINDS)
        kind = self.rng.choice([k for k in pool if k != self.kind and k not in self.friends] or list(set(KINDS) - {self.kind} - set(self.friends)))
        self.friends.append(kind)
        return kind, article(f"{self.rng.choice(FRIEND_TRAITS)} {kind}")

    def episode(self, plot, days=FIRST_DAYS):
        """The sentences of one plot, with its slots drawn afresh."""
        slots, rng = self.slots, self.rng
        kind, intro = self._friend()
        slots.update(pronouns(KINDS[kind][0], "f"))
        slots.update(F="the " + kind, fk=kind, aF=intro, afk=article(kind), Day=rng.choice(days))
        for i, spot in enumerate(rng.sample(PLACES[self.place][2].split(","), 3), 1):
            slots[f"spot{i}"] = spot
        for names, options in plot.draws.items():
            drawn = rng.choice(options)
            slots.update(zip(names.split(","), drawn) if isinstance(drawn, tuple) else [(names, drawn)])
        beats = [rng.choice(b) if isinstance(b, list) else b for b in plot.beats]
        return [self.say(b) for b in beats]

    def say(self, template):
        """One expanded template."""
        return expand(template, self.slots, self.rng)


def story(rng, mini=False, days=1, **world):
    """Returns (world, plot, text). A story of several days is one episode a day, a paragraph each."""
    w = World(rng, **world)
    lines = [w.say(rng.choice(OPENINGS))]
    if not mini and rng.random() < 0.6:
        lines.append(w.say(rng.choice(HABITS)))
    paragraphs, used = [], []
    for day in range(days):
        plot = MINI if mini else rng.choice([p for p in PLOTS if p not in used])
        used = (used + [plot])[-8:]
        lines += w.episode(plot, NEXT_DAYS if day else FIRST_DAYS)
        paragraphs.append(" ".join(line for line in lines if line))
        lines = []
    text = "\n\n".join(paragraphs)
    end = "The end." if days > 1 else rng.choice(ENDINGS)
    return w, plot, (text + " " + end).strip()


def request(rng, w, plot, days):
    """What a reader asks for to be told this story."""
    if rng.random() < 0.06 and days == 1:
        return rng.choice(OPEN_ASKS)
    s = w.slots
    asks = [s["ak"]] * 4 + [s["ak"] + " " + s["in"], f"{s['ak']} and {s['afk']}", article(f"{w.trait} {w.kind}")]
    if plot.who and days == 1:
        asks.append(s["ak"] + " " + w.say(plot.who))
    ask = w.slots["aN"] if w.name else rng.choice(asks)
    text = rng.choice(ASKS).replace("<ask>", ask)
    if days > 1:
        text = text.replace("a short story", "a story").replace("a story", "a long story").replace("A story", "A long story").replace("Tell me about", "Tell me a long story about")
    return text


def questions(rng, w, plot, days, most):
    """Questions about the story just told, with their answers."""
    pairs = [("Who was the story about?", "The story was about <aN>."), ("Where did <N> live?", "<N> lived <in>.")]
    pairs += plot.questions * 2 if days == 1 else []
    return [(w.say(q), w.say(a)) for q, a in rng.sample(pairs, rng.randint(1, most))]


def plain_document(rng, mini, days):
    """A story as plain text, sometimes with questions and answers below it."""
    w, plot, text = story(rng, mini, days)
    if rng.random() < 0.15:
        text += "".join(f"\n\nQuestion: {q}\nAnswer: {a}" for q, a in questions(rng, w, plot, days, 2))
    return [("text", text)]


def question_document(rng, mini, days):
    """The question-and-answer form: a request or a small question, and its answer."""
    if rng.random() < 0.25:
        w = World(rng)
        pairs = [rng.choice(GREETINGS)] if rng.random() < 0.3 else [tuple(w.say(t) for t in rng.choice(FACTS))]
    else:
        w, plot, text = story(rng, mini, days)
        pairs = [(request(rng, w, plot, days), text)]
        if rng.random() < 0.3:
            pairs += questions(rng, w, plot, days, 2)
    return [("text", "\n\n".join(f"Question: {q}\nAnswer: {a}" for q, a in pairs))]


def chat_document(rng, mini, days):
    """A conversation: perhaps a greeting, one to three stories with questions, perhaps a farewell."""
    turns = [rng.choice(GREETINGS)] if rng.random() < 0.1 else []
    for _ in range(1 if days > 1 else rng.choice([1, 1, 1, 1, 2, 3])):
        w, plot, text = story(rng, mini, days)
        lead = w.say(rng.choice(LEADS))
        turns.append((request(rng, w, plot, days), (lead + " " + text).strip()))
        if rng.random() < 0.4:
            turns += questions(rng, w, plot, days, 2)
    if rng.random() < 0.08:
        turns.append(tuple(w.say(t) for t in rng.choice(FACTS)))
    if rng.random() < 0.12:
        turns.append(rng.choice(FAREWELLS))
    return [part for q, a in turns for part in (("user", q), ("assistant", a))]


def document(rng, mini_share=0.05, long_share=0.0):
    """One document of the training mix; a long story has three to eleven days."""
    mini = rng.random() < mini_share
    days = rng.randint(3, 11) if not mini and rng.random() < long_share else 1
    draw = rng.random()
    form = plain_document if draw < 0.4 else chat_document if draw < 0.82 else question_document
    return form(rng, mini, days)


def render(parts):
    """The exact training string, special tokens included; it agrees with the chat template."""
    if parts[0][0] == "text":
        return BOS + parts[0][1] + EOS
    return BOS + "".join((USER if role == "user" else ASSISTANT) + text + END_OF_TURN for role, text in parts)


def documents(seed, count, **shares):
    """`count` rendered documents; the same seed gives the same documents."""
    rng = random.Random(seed)
    return [render(document(rng, **shares)) for _ in range(count)]


def main():
    """Print a few documents, to read what the model reads."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--mini-share", type=float, default=0.05)
    parser.add_argument("--long-share", type=float, default=0.0)
    args = parser.parse_args()
    for text in documents(args.seed, args.count, mini_share=args.mini_share, long_share=args.long_share):
        print(text, end="\n----\n")


if __name__ == "__main__":
    main()
