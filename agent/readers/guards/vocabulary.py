"""Words of reports, by which the beginning of one that was broken off is known. Data, no logic."""

from __future__ import annotations

from typing import Final

# Of five letters or more, in at least three of 1,907 Open-i reports, and others of films.
_WORDS: Final = """
    abdomen abdominal abnormal abnormalities abnormality about above accentuated acromioclavicular active acute
    additional adenopathy adjacent advanced aerated aeration after again airspace airways alignment along alveolar
    amount angles anterior aorta aortic apical apices appear appearance appearing appears appreciated appropriate
    approximately areas arteries artery arthritic artifact artifacts ascending aspect associated asymmetric
    atelectasis atelectatic atherosclerosis atherosclerotic atrial atrium attenuation atypical available axillary
    azygos bandlike basal bases basilar before below benign better between biapical bibasilar bilateral bilaterally
    blunted blunting bodies borderline bowel breast bridging bronchial bronchiectasis bronchovascular bullae bullet
    bullous bypass calcific calcification calcifications calcified caliber cancer cannot cardiac cardio
    cardiomediastinal cardiomegaly cardiopulmonary cardiothoracic carina catheter causing cavitary cavoatrial
    central cervical change changes characteristic characterization chest cholecystectomy chronic clavicle clavicles
    clavicular clear clinical clinically clips closure coarse collapse collection collections colon colonic
    combination compared comparison compatible complete compression concern concerning configuration confirm
    confluent congestion consider consideration considering consistent consists consolidation consolidations
    consolidative continued contour contours contrast convincing coronary correlate correlation corresponding
    cortical costophrenic could critical crowding cuffing curvature curvilinear decrease decreased decubitus
    dedicated defibrillator defined definite deformities deformity degenerative demonstrate demonstrated
    demonstrates dense densities density descending described desired destructive developed developing development
    device dextro dextroscoliosis diagnosis dialysis diameter diaphragm diaphragmatic diaphragms differential
    difficult diffuse diffusely dilated diminished discrete discussed disease dislocation dislocations displaced
    distal document documented early ectasia ectatic edema effusion effusions elevated elevation emphysema
    emphysematous endotracheal endplate engorged engorgement enlarged enlargement enlarging ensure epicardial
    esophageal esophagus etiology evaluate evaluated evaluation eventration evidence exaggerated examination
    examinations exams exclude excluded expanded extensive external extremity factors failure favored features
    fibrosis fibrotic filled films finding findings first fissural fissure fixation flattened flattening flowing
    fluid focal focus follow following followup foreign formation fracture fractured fractures fragment frontal
    fullness further fusion generator given glenohumeral graft granuloma granulomas granulomata granulomatous
    greater gross grossly habitus hardware healed healing heart helpful hemidiaphragm hemidiaphragms hemithorax
    hernia hiatal hilar hilum histoplasmosis history hours however humeral humerus hydropneumothorax hyperexpanded
    hyperexpansion hyperinflated hyperinflation hyperlucency hyperlucent hypertension hypoinflated hypoinflation
    hypoventilation identified idiopathic image images imaging improved improvement incidental include includes
    including incompletely increase increased indeterminate indicate indicated infection infectious inferior
    infiltrate infiltrates inflammation inflammatory inflated infrahilar injuries injury inspiratory intact internal
    interstitial interstitium interval intraperitoneal intrathoracic involving irregular irregularities irregularity
    joint joints jugular junction known kyphosis large largest lateral layering leads lesion lesions level levels
    levoscoliosis limited limits lines lingula lingular lobar lobes location loculated loops lordotic lower lucency
    lucent lumbar lumen lungs lymph lymphadenopathy lymphoma maintained malignancy marked markers markings masses
    mastectomy measures measuring medial mediastinal mediastinum metastases metastatic middle midline midlung
    midthoracic mildly minimal minimally moderate moderately monitor motion multifocal multilevel multiple
    nasogastric needed negative nipple nodular nodule nodules noncalcified nonspecific normal normally noted
    notification numerous oblique obscuration obscure obscured obstruction obstructive obtained obvious
    opacification opacities opacity osseous osseus osteopenia osteophyte osteophytes other otherwise outside overall
    overlap overlapping overlie overlies overload overlying overt pacemaker paratracheal parenchyma parenchymal
    partial partially patchy pathologic patient pattern pectus pelvis performed peribronchial pericardial perihilar
    peripheral persistent placed placement platelike please pleural pneumomediastinum pneumonia pneumonitis
    pneumoperitoneum pneumothoraces pneumothorax portable portions position positional positioning possible possibly
    posterior posteriorly postop postoperative postsurgical posttraumatic preoperative present previous previously
    primary primordial prior probable probably procedure process projected projecting projection projects prominence
    prominent prosthetic proximal pulmonary quadrant quality question questionable radiograph radiographic
    radiographs radiopaque reactive recent recommend recommended recurrence recurrent redemonstrated redemonstration
    reduced reflect reflects region related relatively remain remains remote removal removed replacement represent
    representing represents residual residuals resolution resolved result results reticular retraction retrocardiac
    retrosternal reveal reveals right rotated rotation round rounded sarcoidosis scarring scattered sclerotic
    scoliosis scoliotic secondary segment senescent sequela sequelae setting several severe shadows shaped shift
    shoulder shows shunt sided significant significantly silhouette silhouettes similar since single sized skeletal
    slight slightly small somewhat space spaces specifically spinal spine spondylosis spurring stability stable
    status stent sternotomy stomach stool streaky structure structures studies study subcarinal subclavian
    subcutaneous subdiaphragmatic subpulmonic subsegmental subtle suggest suggesting suggestion suggestive suggests
    sulcus superimposed superior supine surgery surgical suspected suspicion suspicious sutures technical technique
    tenderness terminating there these thickening thoracic thoracolumbar thoracotomy thorax though through
    throughout tissue tissues today tortuosity tortuous trachea tracheal tracheostomy transverse trapping treatment
    tuberculosis tuberculous tubing tunneled typical uncertain unchanged under underlying unfolded unfolding
    unremarkable upper vague valve vascular vascularity vasculature vasculatures venous ventricle versus vertebra
    vertebral views visible visualized volume volumes wedge wedging weeks which widening width within without worse
    would zones
"""
WORDS: Final = frozenset(_WORDS.split())
# What begins one of them and is a word of its own.
_SHORT: Final = """
    addition air airway area art axilla base bronchi bulla can card cardia clip contra cor cost define dens disc
    discuss end endo even exam fibro film for form full great hard heal hemi hila his hyper hypo incomplete inter
    intra lead limit line lobe low lung mark marking mass measure mid mild mini multi non nor not note osteo out
    over pace para part patch per peri persist place plate pleura pneumo port portion post red relate relative
    resolve retro sarcoid scar second shape should show side sign size some specific spur stab sub super suture term
    the thick thoraco tube view wide with zone
"""
SHORT: Final = frozenset(_SHORT.split())
