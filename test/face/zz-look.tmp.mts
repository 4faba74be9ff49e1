import { decode } from '../../src/face/decode.ts'
import { blazefaceOutputs, detectFaces } from '../../src/face/detect/blazeface.ts'
import { rivalsOf } from '../../src/face/pipeline.ts'
import { translateGraphModel } from '../../src/face/onnx/tfjs-graph.ts'
import { openNetwork } from '../../src/face/onnx/session.ts'
import { humanV1 } from '../../src/face/packs/human-v1.ts'
import { locate } from '../../src/face/packs/locate.ts'
import sharp from 'sharp'
import { cuts, portrait, closeUp, groupPhoto } from './portraits.ts'
const net=await openNetwork('b',translateGraphModel({path:locate(humanV1.files.blazeface),input:{name:'input',shape:[3,256,256]},outputs:blazefaceOutputs,batch:1}),Object.keys(blazefaceOutputs))
const f=(d:any[])=>d.map(d=>`[${[d.box.x,d.box.y,d.box.width,d.box.height].map(Math.round)} ${d.score.toFixed(2)}]`).join(' ')
const tally:any={}
for(const sh of [.7,.6,.5,.4]) for(const m of [.6,.4,.2,.15,.1,.05,0,-.05,-.1]) { let one=0,no=0,sev=0; for(const n of Object.keys(cuts) as any[]){const b=await closeUp(n,m);const d=await detectFaces(net,await decode(b),sh);const r=rivalsOf(d).length; if(r===1)one++;else if(r===0)no++;else{sev++; if(sh===.5)console.log(n,m,f(d))}} tally[`${sh} ${m}`]=`one ${one} none ${no} several ${sev}`}
console.log(tally)
