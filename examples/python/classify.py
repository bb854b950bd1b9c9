"""Classifies photos and prints what a program would use of each result.

python classify.py PHOTO... [--model FILE.derm] [--fitzpatrick 1-6]
"""

import argparse

import derm_sdk

parser = argparse.ArgumentParser(description="Classify photos of skin. A research tool, not a medical device.")
parser.add_argument("photos", nargs="+")
parser.add_argument("--model", help="a .derm file; without it, the starter model")
parser.add_argument("--fitzpatrick", type=int, help="skin type, 1 to 6; leave out when unknown")
arguments = parser.parse_args()

with derm_sdk.Classifier(arguments.model) as classifier:  # open once, classify often
    for photo in arguments.photos:
        try:
            result = classifier.classify(photo, fitzpatrick=arguments.fitzpatrick)
        except derm_sdk.DermError as error:  # one sentence; the classifier stays usable
            print(f"{photo}: {error}")
            continue
        answer = result.answer.name if result.answer else "not certain enough"
        likely = ", ".join(f"{p.name} {p.probability:.0%}" for p in result.prediction_set("condition"))
        print(f"{photo}: {answer}\n  among: {likely}")
        for remark in (*result.reasons, *result.quality.problems):
            print(f"  note: {remark}")
