"""The words and sentences of the story world; `corpus.py` puts them together.

In a sentence, {a|b} is a choice and <slot> is filled in: <N> the hero, <aN> the hero's introduction, <F>
and <G> the friends, <aF> and <aG> theirs, <he> <him> <his> <fhe> ... pronouns, <Day> a beginning, <in> and
<home> the place, <spot1> to <spot3> places where a thing may lie, and the plot's own draws.
"""
from dataclasses import dataclass, field

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
    "chicken": ("f", "farm village", "corn"), "rooster": ("m", "farm village", "corn"), "pony": ("f", "farm meadow", "hay"),
    "bunny": ("f", "garden meadow", "carrots"), "ant": ("m", "garden meadow forest", "crumbs"), "spider": ("f", "garden forest", "flies"),
    "worm": ("m", "garden farm", "leaves"), "ladybug": ("f", "garden meadow", "leaves"), "mole": ("m", "garden meadow", "roots"),
    "toad": ("m", "pond garden", "flies"), "eagle": ("f", "mountain", "fish"), "bat": ("m", "mountain forest", "flies"),
    "snake": ("m", "jungle desert", "eggs"), "zebra": ("f", "jungle desert", "grass"), "hippo": ("m", "jungle river", "grass"),
    "koala": ("f", "jungle", "leaves"), "camel": ("m", "desert", "dates"), "lizard": ("m", "desert island", "flies"),
    "kangaroo": ("f", "desert meadow", "grass"), "whale": ("f", "sea", "fish"), "dolphin": ("f", "sea", "fish"),
    "octopus": ("m", "sea", "crabs"), "fish": ("m", "sea river pond", "seeds"), "shark": ("m", "sea", "fish"),
    "dinosaur": ("m", "jungle mountain", "leaves"), "girl": ("f", "village castle", "pancakes"), "boy": ("m", "village castle", "pancakes"),
    "princess": ("f", "castle", "cake"), "prince": ("m", "castle", "cake"), "king": ("m", "castle", "cake"), "queen": ("f", "castle", "cake"),
    "knight": ("m", "castle", "bread"), "wizard": ("m", "castle forest", "soup"), "robot": ("m", "village", "nothing"), "farmer": ("m", "farm", "bread"),
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
    "desert": ("in a {hot|dry|golden} desert", "in the desert", "behind a tall cactus,under a flat rock,on top of a sand hill,near a dry bush", "trail across the sand"),
    "sea": ("in the {deep|blue|wide} sea", "in the sea", "under a big rock,between the green weeds,inside an old ship,behind a pile of shells", "way along the sea floor"),
    "castle": ("in a {tall|old|big} castle", "in the castle", "behind a long curtain,under the stairs,inside a big chest,beside the gate", "road to the gate"),
    "jungle": ("in a {warm|green|noisy} jungle", "in the jungle", "under a huge leaf,behind a tall tree,beside a waterfall,under a pink flower", "trail through the vines"),
}
TRAITS = "little small young brave kind shy clever gentle curious cheerful friendly quiet playful silly happy hungry sleepy polite proud careful tiny funny lucky busy lonely fluffy grumpy".split()
FRIEND_TRAITS = "wise old kind tall clever gentle friendly big strong cheerful patient funny little quiet brave".split()
NAMES = {"m": "Tom Ben Max Leo Sam Finn Toby Milo Jack Theo Oscar Pip Tim Bob Charlie Henry Rex Otto Hugo Felix".split(),
         "f": "Mia Lily Rosa Anna Ruby Daisy Nora Ella Luna Poppy Molly Bella Lucy Sue Emma Sophie Alice Zoe Maya Ivy".split()}
SYLLABLES = "ba be bi bo da de di do fa fi ga go ha he ja jo ka ke ki ko la le li lo ma me mi mo na ne ni no pa pe ra re ri ro sa se si so ta te ti to va vi wa wi ya yo za ze zi zo bra cla dre fri gra sha tra mar kev chris".split()
COLORS = "red blue green yellow white silver orange purple pink golden".split()
TOYS = "ball kite boat drum hat scarf bell train button book key doll wagon ribbon flute ring crown basket spoon bucket".split()
FOODS = "apple pie,loaf of bread,honey cake,basket of berries,bowl of soup,bag of nuts,jar of honey,plate of cookies,carrot cake,bunch of grapes,slice of cheese,pot of jam,pumpkin pie,cup of milk".split(",")
HOBBIES = "sing,dance,swim,count the stars,read books,pick flowers,look at the clouds,collect stones,tell stories,help others,draw pictures,watch the rain,climb hills,play in the sun,tell jokes,bake bread,jump over stones,listen to the wind,play hide and seek,make paper boats,watch the stars,look for shells,sleep in the sun,whistle a tune".split(",")
FIRST_DAYS = "One day,One morning,One sunny day,One afternoon,One cold day,One evening,One fine day,One windy morning,One summer day,One quiet afternoon,Early one morning".split(",")
NEXT_DAYS = "The next day,The next morning,A few days later,One week later,The day after that,Some time later,The next week,A few weeks later,Two days later".split(",")

OPENINGS = [
    "Once upon a time, there was <aN>. <He> lived <home>.", "Once upon a time, there was <aN>. <He> lived <home>.",
    "Once upon a time, <aN> lived <home>.", "There once was <aN> who lived <home>.",
    "Long ago, <aN> lived <home>.", "<Home>, there lived <aN>.", "<aN> lived <home>.",
    "Once there was <aN>. <He> lived <home>.", "There was once <aN> who lived <home>.", "This is the story of <aN>. <He> lived <home>.",
    "Far away, <home>, there lived <aN>.", "Not long ago, <aN> lived <home>.", "Once upon a time, there was <aN> who lived <home>.",
]
WEATHER = ["The sun was {warm|shining|high in the sky}.", "{The birds were singing|The flowers smelled sweet|The sky was blue}.", "It was a {lovely|quiet|beautiful} place.",
           "<He> had a {small|warm|cozy} house there.", "Everyone {knew|liked} <him>."]
HABITS = ["<N> {loved|liked} to <hobby>.", "Every day, <he> liked to <hobby>.", "<He> {loved|liked} to <hobby> and <hobby2>."]
SAD = ["<N> {felt|was} {sad|very sad|worried}.", "<He> sat down and {began to cry|did not know what to do}.",
       "\"Oh no!\" {said|cried} <N>. \"What can I do?\"", "A tear rolled down <his> {face|cheek}.", "\"{This is terrible|What a bad day}!\" {said|cried} <N>."]
MEET = ["{Just then|Soon|After a while|A little later}, <aF> {came by|walked by|stopped}.", "{Just then|Soon|After a while}, <N> {met|saw} <aF>.", "<aF> {heard <him>|saw <him>|was nearby} and came to help."]
ASK = ["\"{What is wrong|What happened|Why are you sad}?\" asked <F>.", "\"Can I help you?\" asked <F>.", "<F> sat down next to <N>. \"{Tell me what happened|Please tell me all about it},\" <fhe> said."]
THANK = ["\"Thank you, <fk>!\" said <N>.", "<N> {smiled|laughed} and thanked <F>.",
         "<N> hugged <F> and said, \"{You are a true friend|Thank you for helping me}!\"", "\"{You are so kind|You are the best friend}, <fk>,\" said <N> with a smile."]
ENDINGS = ["", "", "", "The end.", "And they lived happily ever after.", "And that is the end of the story."]


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
    Plot("who heard a strange sound", {"sound,cause": [
        ("Tap, tap, tap", "a branch at the window"), ("Clink, clink", "an old tin can in the wind"), ("Drip, drip, drip", "a hole in the roof"),
        ("Hoo, hoo", "the wind in an empty bottle"), ("Bump, bump", "a loose door")]}, [
        "<Day>, <N> heard a strange sound. \"<sound>!\" it went.",
        "<N> was {afraid|very afraid}. <He> {hid under the bed|ran outside|could not sleep}.", MEET,
        "\"There is a strange sound {at my home|in my house},\" said <N>.",
        "\"{Let us look together|We can find out what it is},\" said <F>. \"{Two are braver than one|Stay behind me}.\"",
        "They {went in slowly|took a small lamp and went in}. \"<sound>!\" it went again.",
        "Then <F> {laughed|began to laugh}. It was only <cause>! <N> laughed too.",
        "{They fixed it together.|They made it quiet again.} That night, <N> {slept well|slept very well}."],
        [("What made the sound?", "It was only <cause>."), ("Who laughed first?", "<F> laughed first.")]),
    Plot("who got a letter", {"event": ["dinner", "a party", "tea", "a picnic"], "food": FOODS}, [
        "<Day>, a letter came for <N>. It was from <aF>.",
        "\"Please come to my house for <event>,\" said the letter. <N> {jumped with joy|was very happy}.",
        "<N> wanted to bring something nice. So <he> {made|packed} a <food>.",
        "<He> walked along the <path> {for a long time|all morning}. {It was hot, but <he> did not stop.|<He> sang as <he> walked.|}",
        "At last, <he> came to the house of <F>. \"{Welcome|Come in}, <call>!\" said <F>. \"{I am so glad to see you|I waited for you}.\"",
        "<N> gave <F> the <food>. \"{My favorite|How nice}!\" said <F>.",
        "They {ate and talked|laughed and ate} until {the stars came out|it was dark}. It was a {wonderful|lovely} day."],
        [("Who wrote the letter?", "<F> wrote the letter."), ("What did <N> bring?", "<N> brought a <food>.")]),
    Plot("who found a <find>", {"find,tt": [("gold ring", "ring"), ("bag of coins", "bag"), ("silver watch", "watch"), ("pearl necklace", "necklace"), ("little brown purse", "purse")]}, [
        "<Day>, <N> saw something {shiny|strange} <spot1>. It was a <find>!",
        "\"{I could keep it|How lucky I am},\" <he> thought. \"But it is not mine, and someone must be looking for it.\"",
        "So <N> {asked everyone <he> met|walked down the <path>}. <He> saw <aG>. \"Did you lose a <find>?\" asked <N>. \"No, it is not mine,\" said <G>.",
        "Then <N> saw <aF>. <F> was {crying|looking at the ground}. \"I lost my <find>,\" said <F>.",
        "\"Is this your <tt>?\" asked <N>. \"Yes!\" cried <F>. \"{You are so honest|I thought it was gone forever}.\"",
        "<F> {hugged <N>|danced for joy}. {<F> asked <N> to stay for dinner.|}",
        "<N> was glad that <he> had done the right thing."],
        [("What did <N> find?", "<N> found a <find>."), ("Who lost the <tt>?", "<F> lost the <tt>."), ("Where was the <tt>?", "It was <spot1>.")]),
    Plot("who grew a big <crop>", {"crop": ["turnip", "carrot", "pumpkin", "cabbage", "potato"]}, [
        "<Day>, <N> planted a <crop>. It grew {and grew|bigger every day} until it was very big.",
        "\"It is time to eat it,\" said <N>. <He> pulled and pulled, but the <crop> did not come out.",
        "<N> called <aF>. <F> pulled <N>, and <N> pulled the <crop>. They pulled and pulled, but it did not come out.",
        "Then they called <aG>. \"{I am not very strong, but I can help|I will try my best},\" said <G>.",
        "<G> pulled <F>, <F> pulled <N>, and <N> pulled the <crop>. One, two, three! Pop! Out came the <crop>!",
        "{They all fell down and laughed.|They all danced around it.}",
        "<N> made {a big pot of soup|a big dinner} from the <crop>, and they all ate together.",
        "{Together they could do what one could not.|Many hands make light work.}"],
        [("What did <N> grow?", "<N> grew a <crop>."), ("Who helped first?", "<F> helped first."), ("Who helped last?", "<G> helped last.")]),
    Plot("who wanted to touch the moon", {"way": ["climbed the highest hill", "made a very long ladder", "climbed a tall tree", "jumped as high as <he> could"]}, [
        "<N> wanted to touch the moon. {<He> looked at it every night.|It was so round and bright.}",
        "<Day>, <he> <way>. But the moon was still too far away.", SAD, MEET, ASK,
        "\"I want to touch the moon, but I cannot reach it,\" said <N>.",
        "<F> thought for a moment. \"{Come with me tonight|I will show you something},\" said <F>.",
        "That night, <F> brought a {big bowl|bucket} of water. The moon was shining in the water!",
        "<N> put {one foot|a finger} in the water and touched the moon. \"{It is cold|It moves}!\" said <N> {with a laugh|with joy}.", THANK],
        [("What did <N> want to touch?", "<N> wanted to touch the moon."), ("Where was the moon shining?", "The moon was shining in the water.")]),
    Plot("who made a gift", {"gift": ["warm scarf", "wooden chair", "little boat", "paper flower", "picture of the sea", "soft pillow"]}, [
        "<N> had a good friend. It was <aF>. It was almost the birthday of <F>.",
        "\"I want to make a gift,\" said <N>. \"But what can I make?\"",
        "<Day>, <he> had an idea. <He> would make a <gift>. <He> worked {all day and all night|very hard}.",
        "{It was not easy.|It went wrong two times.} But at last, the <gift> was {ready|done}.",
        "<N> went to see <F>. \"Happy birthday, <fk>!\" said <N>. \"I made this for you.\"",
        "<F> opened the box. \"A <gift>!\" cried <F>. \"{It is beautiful|Nobody ever made me such a nice gift}.\"",
        "<N> {smiled|was very proud}. \"{I am glad you like it|You are my best friend},\" <he> said."],
        [("What did <N> make?", "<N> made a <gift>."), ("Whose birthday was it?", "It was the birthday of <F>.")]),
    Plot("who was too shy to <skill>", {"skill": ["sing", "dance", "tell a story", "play the flute"]}, [
        "There was going to be a big show <in>. <N> wanted to <skill>, but <he> was too shy.",
        "<Day>, <N> stood behind a tree and watched. <His> heart beat fast.", MEET,
        "\"Do you want to <skill>?\" asked <F>. \"Yes, but everyone will look at me,\" said <N>.",
        "\"Look only at me,\" said <F>. \"{I will sit in the front|I will smile at you}.\"",
        "So <N> {went up|walked to the front}. <He> looked at <F> and began to <skill>.",
        "{It was wonderful.|It was so beautiful.} Everyone {clapped|cheered}! <F> clapped the loudest.", THANK,
        "<N> was not so shy any more."],
        [("What did <N> want to do?", "<N> wanted to <skill>."), ("Who clapped the loudest?", "<F> clapped the loudest.")]),
    Plot("who built a <thing>", {"thing,cause": [("sand castle", "a big wave"), ("tree house", "a strong wind"), ("snow house", "a falling tree"), ("stone tower", "a falling branch"), ("little dam", "the fast water")]}, [
        "<Day>, <N> built a <thing>. <He> worked {all morning|for hours}. It was {tall and strong|very beautiful}.",
        "But then <cause> {came|hit it}, and the <thing> fell down.", SAD, MEET, ASK,
        "\"I built a <thing>, and now it is gone,\" said <N>.",
        "\"{Then we will build a new one|Do not give up},\" said <F>. \"{Two friends can build it better|I know how to make it strong}.\"",
        "<N> and <F> worked {together|side by side} until {the sun went down|dinner}. The new <thing> was even bigger!", THANK,
        "{They looked at it for a long time and smiled.|They played there every day.}"],
        [("What did <N> build?", "<N> built a <thing>."), ("Who helped <N>?", "<F> helped <N>.")]),
    Plot("who found a little door", {"inside": ["a room full of books", "a garden full of flowers", "a box full of toys", "a table with a big cake", "a cave full of shiny stones"]}, [
        "<Day>, <N> found a little door <spot1>. {It was very old.|<He> had never seen it before.}",
        "<N> wanted to open it, but <he> was {a little afraid|not brave enough}. So <he> went to get <aF>.",
        "\"{Look|Come and see}! There is a little door <spot1>,\" said <N>.",
        "\"{Let us open it together|I have a lamp},\" said <F>.",
        "Slowly, they opened the door. Inside was <inside>!",
        "\"{How wonderful|I cannot believe it}!\" said <F>. They {laughed and danced|stayed there all day}.",
        "\"It is our secret,\" said <N>. {After that|From that day on}, they went there {every week|every day}."],
        [("Where was the little door?", "The little door was <spot1>."), ("What was inside?", "Inside was <inside>."), ("Who came with <N>?", "<F> came with <N>.")]),
    Plot("who could not sleep", {"first": ["counted the stars", "drank warm milk", "read a book", "walked around the house"], "song": ["a soft song", "a quiet story", "a song about the moon", "a story about the sea"]}, [
        "{One|Late one} night, <N> was very tired, but <he> could not sleep. {The moon was too bright.|<He> thought about too many things.}",
        "<He> <first>, but it did not help. <He> {turned left and right|looked out of the window}.",
        "Outside, <he> saw <aF>. \"{Why are you awake|Can you not sleep}?\" asked <F>.",
        "\"No, I cannot sleep,\" said <N>. \"{I tried everything|I do not know why}.\"",
        "\"{Lie down|Close your eyes},\" said <F>. \"I know <song>.\"",
        "<F> sat down beside the bed. It was <song>, {slow and gentle|long and slow}.",
        "Soon <N> {closed <his> eyes|began to smile}. <He> was asleep before the end.",
        "\"Good night, <call>,\" said <F>, and {went home|closed the door} quietly."],
        [("What did <N> try first?", "<N> <first>."), ("Who helped <N> to sleep?", "<F> helped <N>.")]),
    Plot("who carried a basket", {"load": ["apples", "wood", "potatoes", "books", "stones"], "gift": ["a silver coin", "a jar of honey", "a warm hat", "a magic seed"]}, [
        "<Day>, <N> met <aF> on the <path>. <F> had a big basket of <load>.",
        "<F> was {very tired|walking slowly}. \"This basket is too heavy for me,\" said <F>.",
        "\"{Let me carry it|I can help you},\" said <N>. <He> took the basket of <load>.",
        "They walked {up the hill|a long way}. {<N> grew tired too, but <he> did not stop.|<F> told stories on the way.|}",
        "At last, they came to the house of <F>. \"Thank you, <call>,\" said <F>. \"You have a good heart.\"",
        "<F> gave <N> <gift>. \"{I did not help you for a gift|You do not need to}, but thank you,\" said <N>.",
        "<N> walked home with a {happy heart|big smile}."],
        [("What was in the basket?", "The basket was full of <load>."), ("What did <F> give to <N>?", "<F> gave <N> <gift>.")]),
    Plot("who had a garden", {"crop": ["carrots", "apples", "berries", "beans", "potatoes", "tomatoes"]}, [
        "<N> grew <crop> in a little garden. {They were the best <crop> <in>.|<He> was very proud of them.}",
        "<Day>, some of the <crop> were gone. \"Who took my <crop>?\" {cried|asked} <N>.",
        "That night, <N> hid {behind a tree|in the dark} and waited. Soon <he> heard {soft steps|a small sound}.",
        "It was <aF>! \"{Stop|Wait}! Those are my <crop>,\" said <N>.",
        "<F> began to cry. \"I am sorry,\" said <F>. \"I was so hungry, and I had nothing to eat.\"",
        "<N> was {not angry any more|quiet for a moment}. \"You only had to ask,\" <he> said. \"{There is enough for both of us|Come and eat with me}.\"",
        "After that, <F> helped <N> in the garden every day, and they shared the <crop>."],
        [("What did <N> grow?", "<N> grew <crop>."), ("Who took the <crop>?", "<F> took the <crop>.")]),
    Plot("who played the <tool>", {"tool": ["drum", "flute", "trumpet", "guitar", "violin"]}, [
        "<N> had a new <tool>. <He> played it {day and night|all the time}.",
        "<Day>, there was a {loud|hard} knock on the door. It was <aF>. <Fhe> looked very tired.",
        "\"I cannot sleep,\" said <F>. \"Your <tool> is too loud at night.\"",
        "<N> {was|felt} sorry. \"I did not know that,\" <he> said. \"{What can we do|How can I make it right}?\"",
        "\"{You could play in the day|Play it when the sun is up},\" said <F>. \"{I would like to listen|I love music too}.\"",
        "So <N> played the <tool> in the day, and <F> {danced|sang along}. {Soon everyone came to listen.|}",
        "At night it was quiet, and {they both slept well|everyone was happy}."],
        [("What did <N> play?", "<N> played the <tool>."), ("Who could not sleep?", "<F> could not sleep.")]),
    Plot("who helped a proud friend", {"hurt,cure": [("a thorn in <fhis> foot", "pulled out the thorn"), ("<fhis> head in a fence", "pushed the fence open"), ("a net around <fhis> legs", "cut the net with sharp teeth"), ("<fhis> foot under a stone", "rolled the stone away")]}, [
        "<Day>, <N> met <aF>. \"{May I play with you|Can I come with you}?\" asked <N>.",
        "\"No, you are too young,\" said <F>. \"{You cannot help me with anything|Go home}.\"", SAD,
        "{Later|In the evening}, <N> heard a loud cry. It was <F>! <Fhe> had <hurt>.",
        "\"Please help me, <call>!\" said <F>. \"{I cannot move|It hurts so much}.\"",
        "<N> {was not angry|ran to help}. <He> <cure>. \"{Is that better|Does it still hurt}?\" asked <N>.",
        "\"Thank you,\" said <F>. \"{I was wrong, and I am sorry|You are young, but you have a big heart}.\"",
        "From that day on, <N> and <F> {played together|were good friends}."],
        [("What did <N> do?", "<N> <cure>."), ("Who was hurt?", "<F> was hurt.")]),
    Plot("who was ready for winter", {"food": ["nuts", "seeds", "apples", "corn", "berries"]}, [
        "All summer, <N> worked hard. <He> put away <food> for the winter.",
        "<Day>, <aF> came by. \"{Will you sing with me|Why do you work all day}?\" asked <F>.",
        "\"Winter will come soon,\" said <N>. But <F> only {laughed|sang and danced}.",
        "Then the snow came. {It was very cold.|There was nothing to eat.} <N> was safe at home with a lot of <food>.",
        "There was a knock on the door. It was <F>. \"I am cold and hungry,\" said <F>. \"{You were right|I should have worked too}.\"",
        "\"Come in,\" said <N>. \"{You can eat with me|I have enough for two}, and you can sing for me.\"",
        "All winter, <N> shared the <food>, and <F> sang. {The next summer, they both worked hard.|They were warm and happy.}"],
        [("What did <N> put away?", "<N> put away <food>."), ("Who sang all summer?", "<F> sang all summer.")]),
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
        "Tell me about <ask>.", "A story about <ask>, please.", "Do you know a story about <ask>?", "Make up a story about <ask>.", "Tell me a story about <ask>", "Write a story about <ask>",
        "tell me a story about <ask>", "write a story about <ask>", "Story about <ask>.", "Can you write a story about <ask>?",
        "I would like a story about <ask>.", "Tell me a bedtime story about <ask>.", "Could you tell me a story about <ask>?"]
OPEN_ASKS = ["Tell me a story.", "Tell me a story, please.", "Can you tell me a story?", "Write a story.", "I want to hear a story.", "Another story, please.", "Tell me a story", "Tell me another story.",
             "Tell me a bedtime story.", "Write a short story.", "Tell me a story that happens <in>.", "Tell me something nice."]
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
SMALL_FACTS = [tuple(p.split("|")) for p in (
    "What color is the sky?|The sky is blue.,What color is grass?|Grass is green.,What color is snow?|Snow is white.,What color is the sun?|The sun is yellow.,"
    "What color is a banana?|A banana is yellow.,What does a cow say?|A cow says moo.,What does a dog say?|A dog says woof.,What does a cat say?|A cat says meow.,"
    "What does a duck say?|A duck says quack.,What does a sheep say?|A sheep says baa.,What does an owl say?|An owl says hoo.,What does a lion say?|A lion says roar.,"
    "What comes after one?|Two comes after one.,What comes after two?|Three comes after two.,What comes after three?|Four comes after three.,"
    "How many legs does a dog have?|A dog has four legs.,How many legs does a bird have?|A bird has two legs.,How many legs does a spider have?|A spider has eight legs.,"
    "What is the opposite of big?|The opposite of big is small.,What is the opposite of hot?|The opposite of hot is cold.,What is the opposite of day?|The opposite of day is night.,"
    "What is the opposite of happy?|The opposite of happy is sad.,When does the moon shine?|The moon shines at night.,What falls in winter?|Snow falls in winter.,"
    "Where do fish live?|Fish live in the water.,What do bees make?|Bees make honey.,What do cows give us?|Cows give us milk.,What do birds build?|Birds build nests.,"
    "What is two plus two?|Two plus two is four.,What is one plus one?|One plus one is two.,What day comes after Monday?|Tuesday comes after Monday.").split(",")]
