import { useTranslation } from 'react-i18next'

// The server keeps the rule that decided as an English sentence, which stays as it was written for good.

const rules = [
  [/^exactly one large face is needed$/, 'oneFace'],
  [/^quality (\S+) is below (\S+)$/, 'quality'],
  [/^presentation attack detected$/, 'attack'],
  [/^presentation attack detection is enforced and says (\S+)$/, 'enforced'],
  [/^nobody is enrolled$/, 'nobody'],
  [/^the pictures show different people$/, 'dissent'],
  [/^best confidence (\S+) is below the threshold (\S+)$/, 'below'],
  [/^the person is no longer active$/, 'inactive'],
  [/^the second person is closer than the margin of (\S+)$/, 'second'],
  [/^a look-alike is closer than the margin of (\S+)$/, 'lookAlike'],
  [/^punched within the last (\S+) s$/, 'duplicate'],
  [/^above the threshold$/, 'above'],
  [/^employee code and PIN$/, 'pin'],
  [/^employee code and PIN do not belong together$/, 'wrongPin'],
  [/^above the threshold, and told from a look-alike by the employee code$/, 'code'],
] as const

const autos = [
  [/^IN was the last punch of the day$/, 'autoOut'],
  [/^no open IN on this day$/, 'autoIn'],
] as const

const reasons = [
  [/^no model is installed$/, 'noModel'],
  [/^the model sees an attack$/, 'modelAttack'],
  [/^the model sees a bona fide face$/, 'modelBonaFide'],
  [/^the model is not sure$/, 'modelUnsure'],
  [/^no burst was looked at$/, 'noBurst'],
  [/^the same picture came twice$/, 'samePicture'],
  [/^(\d+) pictures with a face are fewer than the (\d+) that it takes$/, 'fewPictures'],
  [/^two pictures show the very same face/, 'sameFace'],
  [/^the face turned as something flat does$/, 'flat'],
  [/^nothing speaks of an attack, and nothing rules it out$/, 'nothingSpeaks'],
  [/^no challenge was answered$/, 'noChallenge'],
  [/^there are fewer pictures with a face than (?:two a step|steps)$/, 'fewerThanSteps'],
  [/^the pictures are not in the order of their times$/, 'order'],
  [/^it took longer than the challenge allows$/, 'tooLong'],
  [/^the head turned faster than heads do$/, 'tooFast'],
  [/^the face was not in one place throughout$/, 'moved'],
  [/^asked for (.*); seen: (.*)$/, 'steps'],
  [/^the turns do not show that the face has depth$/, 'noDepth'],
  [/^the steps were done in order by a face with depth$/, 'passed'],
  [/^more than one face was in view$/, 'severalFaces'],
  [/^too few pictures show a face$/, 'fewFaces'],
  [/^the face changed while it moved$/, 'changed'],
] as const

type Sentences = readonly (readonly [RegExp, string])[]

/** The server's sentences in the reader's language; one that is not known here as it is. */
export function useServerSentences() {
  const { t } = useTranslation()
  const said = (sentence: string, known: Sentences, group: 'rules' | 'reasons') => {
    for (const [pattern, key] of known) {
      const [, a, b] = pattern.exec(sentence) ?? []
      if (pattern.test(sentence)) return t(`attendance.${group}.${key}` as 'attendance.rules.below', { a, b })
    }
    return sentence
  }
  return {
    rule(sentence: string): string {
      const [rule, auto] = sentence.split('; AUTO: ')
      const told = said(rule, rules, 'rules')
      return auto === undefined ? told : `${told}; ${said(auto, autos, 'rules')}`
    },
    reason: (sentence: string) => said(sentence, reasons, 'reasons'),
  }
}
